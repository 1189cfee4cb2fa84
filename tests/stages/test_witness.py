"""Simulated witnesses on a small stand-in: what starts where, and what needs a stand-in."""

import numpy as np
import pytest

from icl_lib import stages
from icl_lib.analysis.rounds import by_round, gained, rank1
from icl_lib.stages import witness
from icl_lib.thi.cards import FACETS


@pytest.fixture(scope="module")
def given(params, done):
    return witness.setting(params)


def test_the_methods_start_where_the_other_notebooks_end(params, done, given):
    found, pids = witness.trained(params, 1)
    first = found[params.seed]
    results = stages.evidence_results(params)
    assert np.array_equal(rank1(first["MLLM + person, random"])[0], results["evidence"]["rank1"])
    everything = results["evidence_all"]["rank1"]
    assert np.array_equal(rank1(first["MLLM, evidence, all asked"])[-1], everything)
    assert np.array_equal(rank1(first["MLLM, evidence"])[params.thi.k_max], everything)
    assert np.array_equal(rank1(first["MLLM, Algorithm 1"])[params.thi.K], done[2]["rank1"])
    plain = done[1].per_query(0, 0.5, 0.8)["rank1"]
    assert np.array_equal(rank1(first["no question"])[3], plain)
    assert len(by_round(found, pids)) == len(first) * (2 * (witness.ROUNDS + 1) + 1)
    assert len(gained(found, pids, witness.PAIRS)) == len(witness.PAIRS) * witness.ROUNDS


def test_only_what_the_caption_leaves_out_is_asked_about(given):
    assert given.alone.open.shape == given.truth.shape == (len(given.run.queries), len(FACETS))
    assert 0 < given.alone.open.mean() < 1
    assert ((given.theta > 0) & (given.theta < 1)).all()
    table = witness.room(given)
    assert table["open facets"].iloc[0] == pytest.approx(given.alone.open.sum(1).mean())
    assert (table["within reach"] == 100).all(), "the whole gallery is fewer than the hypotheses"
    assert (table["told by the best"] > 0).all()


def test_witnesses_who_know_nothing_bring_nothing(params, given, monkeypatch):
    monkeypatch.setattr(witness, "FORGETS", (0.0, 1.0))
    monkeypatch.setattr(witness, "ERRS", (0.0, 0.5))
    table = witness.honesty(params, given)
    assert (table.xs(1.0, level="forget")["gain"] == 0).all()
    honest = table.xs((0.0, 0.0), level=("forget", "err"))["rank1"]
    assert honest.nunique() == 1, "without errors, both beliefs are one"


def test_a_real_benchmark_has_no_simulated_witnesses(params):
    real = params.changed("data", standin=False)
    with pytest.raises(ValueError, match=r"need a stand-in.*RSTPReid"):
        witness.setting(real)
