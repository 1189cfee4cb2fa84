"""Tokens and costs against counts by hand, with an MLLM whose tokens are letters."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from icl_lib.thi import Trace, replay
from icl_lib.thi.cost import cost, count_tokens, spent


class Letters:
    """INSTRUMENT, no model: a letter is a token, an image ten; it writes what it is asked."""

    def __init__(self):
        self.prompts = SimpleNamespace(
            ask_match=lambda text: f"?{text}",
            ask_answers=lambda: "all",
            ask_merged=lambda answers, text: text,
            answers_text=lambda answers: answers["hat"],
        )

    def tokens_read(self, prompts, images=None):
        return np.array([len(prompt) + 10 * (images is not None) for prompt in prompts], dtype=int)

    def tokens_written(self, texts):
        return np.array([len(text) + 1 for text in texts], dtype=int)

    def write(self, prompts, images=None):
        return list(prompts)


def world():
    sim = np.array([[0.9, 0.5, 0.1], [0.5, 0.4, 0.3], [0.4, 0.3, 0.2]])
    trace = Trace(
        [[0, 1, 2]] * 3,
        [[0.8, np.nan, np.nan], [0.1, 0.9, np.nan], [0.1, 0.2, 0.1]],
        seconds=[[1, np.nan, np.nan], [1, 2, np.nan], [1, 1, 1]],
    )

    def per_query(K, xi, lam):
        anchor = replay(sim, sim, trace, K, xi, lam)[1]
        return {"anchor": anchor, "rank1": 100.0 * (anchor >= 0)}

    return SimpleNamespace(
        sim=sim,
        trace=trace,
        per_query=per_query,
        seconds_refining=6.0,
        evidence=None,
        answers=[{"hat": "a hat"}, {"hat": ""}, None],
        queries=pd.DataFrame({"caption": ["a", "bb", "ccc"]}),
        gallery=pd.DataFrame({"path": ["x", "y", "z"]}),
    )


def test_the_tokens_of_every_call_are_counted():
    counted = count_tokens(world(), Letters())
    assert counted["question_read"].tolist() == [[12] * 3, [13] * 3, [14] * 3]
    assert counted["describe_read"].tolist() == [13, 13, 0]
    assert counted["describe_written"].tolist() == [4, 4, 0]
    assert counted["merge_read"].tolist() == [1, 0, 0]
    assert counted["merge_written"].tolist() == [2, 0, 0]


def test_without_a_tokenizer_the_table_has_no_tokens():
    mllm = Letters()
    mllm.tokens_read = lambda prompts, images=None: None
    assert count_tokens(world(), mllm) is None
    assert not any("token" in row for row in spent(world(), 3, 0.7, 0.5).index)


def test_a_point_is_charged_what_it_needs_and_no_more():
    run = world()
    table = spent(run, 2, 0.7, 0.5, count_tokens(run, Letters()))
    total = table["total"]
    assert total["questions asked"] == 1 + 2 + 2
    assert total["questions the released code asks"] == 1 + 2 + 2
    assert total["pictures described"] == total["texts merged"] == 2
    assert total["tokens read, asking"] == 12 + 2 * 13 + 2 * 14
    assert total["tokens written, asking"] == 5
    assert total["tokens read, describing"] == 26 and total["tokens written, merging"] == 2
    assert total["tokens, all"] == total.filter(regex="^tokens (read|written)").sum()
    assert total["seconds asking"] == 1 + 3 + 2 and total["seconds describing and merging"] == 6
    assert np.allclose(table["per query"], total / 3)
    assert np.allclose(table["per Rank-1 point"], total / (200 / 3))
    assert spent(run, 0, 0.7, 0.5)["per Rank-1 point"].isna().all()


def test_the_summary_reports_what_a_point_needs():
    run = world()
    told = cost(run, {"K": 2, "xi": 0.7}, np.array([0, 1, -1]))
    assert told == {
        "questions": 5,
        "queries": 3,
        "seconds_asking": 7.0,
        "released_questions": 5,
        "pictures_described": 2,
    }
