"""The grid over K, ξ and λ against one replay per point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thi_answers import ranked, until_first_yes

from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.thi import Trace, grid, questions, released_questions, replay


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([-1.0, 0.0, 0.5, 1.0]), st.sampled_from([0, 0.3]))
def test_every_row_of_the_grid_is_a_replay(seed, xi, lam):
    rng = np.random.default_rng(seed)
    Q, G, levels = rng.integers(1, 6), rng.integers(1, 8), rng.integers(1, 7)
    sim, refined = rng.integers(0, levels, (2, Q, G)) / levels  # many ties
    yes = rng.random((Q, G)) < rng.choice([0, 0.1, 0.5, 1])
    query_pids, gallery_pids = rng.integers(0, 3, Q), rng.integers(0, 3, G)
    trace = until_first_yes(Trace.from_answers(yes, ranked(sim)))
    table = grid(sim, refined, trace, query_pids, gallery_pids, [0, 1, 3, 8], [xi, 0.4], [lam, 0.8])
    assert len(table) == 16
    for row in table.to_dict("records"):
        at = (trace, int(row["K"]), row["xi"])
        final, anchor = replay(sim, refined, *at, row["lam"])
        for name, value in retrieval_metrics(final, query_pids, gallery_pids).items():
            assert row[name] == pytest.approx(value, abs=1e-9)
        assert row["anchors"] == (anchor >= 0).sum()
        assert row["questions"] == questions(sim.max(1), *at).sum()
        assert row["released_questions"] == released_questions(sim.max(1), *at).sum()


def test_the_grid_of_a_full_study_covers_every_point():
    rng = np.random.default_rng(0)
    sim, refined = rng.random((2, 500, 1000), dtype=np.float32)
    gallery_pids, query_pids = np.arange(1000) // 5, np.arange(500) % 200
    candidates = ranked(sim)[:, :10]
    right = gallery_pids[candidates] == query_pids[:, None]
    trace = Trace.from_answers(rng.random(right.shape) < np.where(right, 0.8, 0.2), candidates)
    xis, lams = np.linspace(0.9, 1, 13), np.linspace(0, 1, 11)
    table = grid(sim, refined, trace, query_pids, gallery_pids, range(11), xis, lams)
    assert len(table.drop_duplicates(["K", "xi", "lam"])) == 11 * 13 * 11
    point = (table["K"] == 7) & np.isclose(table["lam"], lams[3]) & np.isclose(table["xi"], xis[5])
    (row,) = table[point].to_dict("records")
    final, _ = replay(sim, refined, trace, 7, row["xi"], row["lam"])
    metrics = retrieval_metrics(final, query_pids, gallery_pids)
    assert row["rank1"] == pytest.approx(metrics["rank1"])
