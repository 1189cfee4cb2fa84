"""A query's parts are added up as Algorithm 1 goes. Times are not asserted."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from icl_lib.figures.speed import growth, stacked_parts
from icl_lib.mllm.prompts import load_prompts
from icl_lib.params.paths import repo_root
from icl_lib.retrieval import Gallery
from icl_lib.speed import latency
from icl_lib.thi import Trace, questions, replay


class Towers:
    """A backbone that knows the vector of each text."""

    def __init__(self, vectors):
        self.vectors = vectors

    def encode_texts(self, texts):
        return np.stack([self.vectors[text] for text in texts])


class Scripted:
    """An MLLM with given P(Yes) by (picture, text), and constant written answers."""

    def __init__(self, p):
        self.p, self.prompts = p, load_prompts("short", repo_root() / "params" / "prompts")
        self.parse_report, self.described = Counter(), []

    def p_yes(self, images, texts):
        return np.array(
            [self.p[image, text] for image, text in zip(images, texts, strict=True)], np.float32
        )

    def write(self, prompts, images=None):
        if images is None:
            return ["refined"] * len(prompts)
        self.described += images
        return ["1. a man\n3. a red coat"] * len(prompts)


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((12, 8)).astype(np.float32)
    texts = {
        name: rng.standard_normal(8).astype(np.float32) for name in ("a", "b", "c", "d", "refined")
    }
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    texts = {name: vector / np.linalg.norm(vector) for name, vector in texts.items()}
    paths = [f"{i}.png" for i in range(12)]
    p = {(path, text): float(rng.random() > 0.6) for path in paths for text in texts}
    return pictures, texts, paths, p


def test_questions_and_anchors_are_those_of_the_trace(world):
    """As `thi.questions` and `thi.replay` give them for the same answers, at every K and xi."""
    pictures, vectors, paths, p = world
    texts, cards = list("abcd"), Scripted(p)
    run = latency.timed(
        texts, Towers(vectors), Gallery(pictures), paths, Scripted(p), cards, 6, 0.5, 0.8
    )
    sim = np.stack([vectors[text] for text in texts]) @ pictures.T
    candidates = np.argsort(-sim, axis=1, kind="stable")[:, :6]
    answers = np.array(
        [
            [p[paths[column], text] for column in row]
            for text, row in zip(texts, candidates, strict=True)
        ]
    )
    trace = Trace(candidates, answers)
    for K in (0, 1, 3, 6):
        for xi in (-1.0, float(np.median(sim.max(1))), 1.0):
            told = latency.parts(run, K, xi)
            assert told["questions"].tolist() == questions(sim.max(1), trace, K, xi).tolist()
            assert told["anchor"].tolist() == (replay(sim, sim, trace, K, xi, 0.8)[1] >= 0).tolist()
            assert (told.loc[~told["anchor"], ["describe", "merge", "re-rank"]] == 0).all(axis=None)
    assert set(cards.described) <= set(paths) and cards.described


def test_on_demand_and_cards_differ_in_the_description_only(world):
    pictures, vectors, paths, p = world
    mllm, cards, gallery = Scripted(p), Scripted(p), Gallery(pictures)
    run = latency.timed(list("abcd"), Towers(vectors), gallery, paths, mllm, cards, 6, 0.5, 0.8)
    run["describe"], run["card"] = 2.0, 0.5
    table = latency.means(run, [6], xi=1.0)
    demand, cards = table.loc[(6, "on demand")], table.loc[(6, "cards")]
    assert demand["describe"] == pytest.approx(4 * cards["describe"])
    assert demand["total"] - cards["total"] == pytest.approx(demand["describe"] - cards["describe"])
    assert demand["total"] == pytest.approx(demand[list(latency.PARTS)].sum())
    assert len(stacked_parts({"x": table}).axes[0].patches) == 2 * len(latency.PARTS)
    with pytest.raises(ValueError, match="K=7 was not timed"):
        latency.parts(run, 7, 1.0)


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.8, 1.0])
def test_the_timed_ranking_is_equation_6(world, lam):
    pictures, vectors, _, _ = world
    model, gallery = Towers(vectors), Gallery(pictures)
    for anchor in range(12):
        found = latency._reranked(model, gallery, vectors["a"][None], "refined", anchor, lam)
        refined = vectors["refined"] @ pictures.T
        refined[anchor] = 1.0
        final = lam * (vectors["a"] @ pictures.T) + (1 - lam) * refined
        np.testing.assert_allclose(final[found], np.sort(final)[::-1][:10], atol=1e-6)


def test_an_mllm_with_a_memory_is_refused(world):
    pictures, vectors, paths, p = world
    remembered = Scripted(p)
    remembered.file = "answers.sqlite"
    with pytest.raises(ValueError, match="give its `inner`"):
        latency.timed(
            ["a"], Towers(vectors), Gallery(pictures), paths, remembered, Scripted(p), 3, 0.5, 0.8
        )


def test_by_gallery_has_a_row_for_each_size(world):
    pictures, vectors, _, _ = world
    table = latency.by_gallery(list("abcd"), Towers(vectors), pictures, [50, 200], 5, 0.8)
    assert (
        list(table.index) == [(50, "Flat"), (200, "Flat")] and table["MB"].is_monotonic_increasing
    )
    assert isinstance(table, pd.DataFrame) and len(growth(table, 100.0).axes) == 2
