"""Describing anchors and merging the answers into queries."""

from collections import Counter

from icl_lib.mllm.prompts import Prompts
from icl_lib.thi import Trace, refine


class Echo:
    """INSTRUMENT, no model: describes an image by its name, merges by repeating the prompt."""

    def __init__(self):
        self.prompts = Prompts(
            characteristics=[{"name": "hat", "question": "Which hat?"}],
            loc="{text}",
            vqa="{questions}",
            aggregate="{text} with {answers}",
            decompose="{text}",
            rewrite="{text}",
            answer_line="{answer}",
            answer_join=", ",
            negatives=["no"],
        )
        self.parse_report, self.described, self.merged = Counter(), [], []

    def write(self, prompts, images=None):
        if images is None:
            self.merged += prompts
            return list(prompts)
        self.described += images
        return [f"1. a hat of {image}" for image in images]


def test_each_anchor_is_described_once_and_merged_into_every_query_that_chose_it():
    mllm = Echo()
    yes = [[True, True], [False, True], [False, False]]
    trace = Trace.from_answers(yes, [[2, 0], [1, 2], [0, 1]])
    texts, answers = refine(["a man", "a boy", "one"], trace, mllm, image_paths=["x", "y", "z"])
    assert texts == ["a man with a hat of z", "a boy with a hat of z", "one"]
    assert answers == [{"hat": "a hat of z"}, {"hat": "a hat of z"}, None]
    assert mllm.described == ["z"] and len(mllm.merged) == 2


def test_candidates_that_are_paths_need_no_image_paths():
    trace = Trace.from_answers([[False, True]], [["x", "y"]])
    assert refine(["a man"], trace, Echo())[0] == ["a man with a hat of y"]


def test_without_a_yes_the_texts_stay():
    trace = Trace.from_answers([[False], [False]], [[0], [1]])
    assert refine(["a", "b"], trace, Echo(), ["x", "y"]) == (["a", "b"], [None, None])
