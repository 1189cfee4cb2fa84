"""Search by Algorithm 1's first Yes, and by similarity alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from search_doubles import Knowing, Models, unit

from icl_lib.mllm.memory import Memory
from icl_lib.retrieval.gallery import Gallery
from icl_lib.search.dialogue import Dialogue, Judged, Sentence
from icl_lib.search.searcher import FIRST_YES, LAM, PERSON, SIMILARITY, Searcher
from icl_lib.thi.evidence import Evidence

START = Dialogue().add(Sentence("a man"))
REFINED = "a man with a backpack"


class Backbone:
    """Gives the refined query another direction than every other text."""

    def encode_texts(self, texts):
        return np.array([[0, 1, 0] if t == REFINED else [1, 0, 0] for t in texts], np.float32)


class Merging(Knowing):
    """Merges whatever it is given to the refined query."""

    def __init__(self, right):
        super().__init__(right)
        self.prompts.answers_text = lambda answers: "1. a backpack"
        self.prompts.ask_merged = lambda answers, text: "merge"

    def write(self, prompts, images=None):
        return super().write(prompts, images) if images else [REFINED] * len(prompts)


@pytest.fixture
def searcher():
    vectors = unit(np.random.default_rng(0).normal(size=(8, 3)))
    index = SimpleNamespace(
        vectors=vectors, gallery=Gallery(vectors), paths=[str(k) for k in range(8)]
    )
    third = str(np.argsort(-vectors[:, 0])[2])
    models = Models(Merging(third), Evidence(temperature=0.1), backbone=Backbone())
    return Searcher(index, models)


def test_the_first_yes_is_the_anchor_and_ranks_by_equation_6(searcher):
    search, vectors = searcher.with_settings(FIRST_YES, PERSON), searcher.index.vectors
    order = np.argsort(-vectors[:, 0], kind="stable")
    after = search.ask(START, 8)
    assert searcher.models.mllm.asked == [str(column) for column in order[:3]]
    enriched = vectors[:, 1].copy()
    enriched[order[2]] = 1
    expected = LAM * vectors[:, 0] + (1 - LAM) * enriched
    ranking = search.rank(after)
    np.testing.assert_allclose(ranking.scores, expected[ranking.columns], rtol=1e-5)
    assert search.ask(after, 8) == after  # Algorithm 1 ends with the first Yes
    changed = after.add(Sentence("a hat"))  # the MLLM judged another description
    np.testing.assert_array_equal(search.rank(changed).columns, order)


def test_nothing_typed_reaches_the_memory_on_disk(searcher, tmp_path, monkeypatch):
    monkeypatch.setattr("icl_lib.mllm.memory.picture_hash", str)
    inner = searcher.models.mllm
    inner.max_new_tokens, inner.batch_size, inner.prompts.ask_match = 9, 4, str
    memory = Memory(inner, tmp_path / "answers.sqlite")
    searcher.models.mllm = memory
    search = searcher.with_settings(FIRST_YES, PERSON)
    said = search.ask(START, 8)
    assert len(said.by_mllm) == 3
    assert not np.allclose(search.rank(said).scores, search.rank(START).scores)  # it was merged
    assert len(memory) == 1  # the anchor's description, which holds nothing that was typed
    for file in tmp_path.iterdir():
        assert REFINED.encode() not in file.read_bytes()
    search.ask(START, 1)
    searcher.ask(START, 2)
    assert len(memory) == 1


def test_by_similarity_the_mllm_is_not_asked_and_its_answers_do_not_count(searcher):
    search = searcher.with_settings(SIMILARITY, PERSON)
    answers = [Judged(column, False, 0.01, START.text) for column in range(4)]
    before, after = (search.rank(said).columns for said in (START, START.add(*answers)))
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(before, searcher.rank(START.add(*answers)).columns)
    with pytest.raises(ValueError, match="choose another rule"):
        search.ask(START, 1)


def test_settings_share_what_the_mllm_said_and_bad_ones_are_refused(searcher):
    search = searcher.with_settings(FIRST_YES, 0.7)
    search.describe([3])
    assert searcher.answers[3] == {"bag": "a backpack"}
    with pytest.raises(ValueError, match="Valid: evidence"):
        searcher.with_settings("frist yes", PERSON)
    with pytest.raises(ValueError, match="between"):
        searcher.with_settings(FIRST_YES, 0.5)
