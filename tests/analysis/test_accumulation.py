"""What THI moves across ranks adds up to the metrics' change, and right anchors never lose."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.analysis import accumulation, cases
from icl_lib.retrieval.metrics import LABELS, per_query_metrics
from icl_lib.thi import interact, replay


class Run:
    """A drawn interaction: queries with a noisy ranking, an MLLM that is right most of the time."""

    def __init__(self, seed, lam, K=5, queries=60, people=12, each=3):
        rng = np.random.default_rng(seed)
        gallery = np.repeat(np.arange(people), each)
        owner = rng.integers(0, people, queries)
        same = gallery == owner[:, None]
        self.pids, self.K = (owner, gallery), K
        self.sim = np.clip(rng.normal(0.4 + 0.05 * same, 0.15), -1, 1)
        self.p = np.clip(rng.normal(0.3 + 0.4 * same, 0.25), 0, 1)

        class Judge:
            def p_yes(_, columns, numbers):
                return [self.p[int(q), c] for c, q in zip(columns, numbers, strict=True)]

        order = np.argsort(-self.sim, axis=1, kind="stable")
        self.trace = interact([str(q) for q in range(queries)], order, Judge(), 10)
        first = order[np.arange(queries), np.maximum(self.trace.first_yes, 0)]
        described = (
            gallery == gallery[first][:, None]
        )  # the refined text tells of the anchor, right or wrong
        self.sim_refined = np.clip(rng.normal(0.4 + 0.3 * described, 0.15), -1, 1)
        self.queries = pd.DataFrame({"caption": map(str, range(queries))})
        at = {"K": K, "xi": 0.85, "lam": lam}
        self.final, self.anchor = replay(self.sim, self.sim_refined, self.trace, **at)
        self.jumped, _ = replay(self.sim, self.sim, self.trace, **at)
        self.table = cases.cases(self, self.final, self.anchor)
        self.before, self.jump, self.after = (
            per_query_metrics(sim, *self.pids) for sim in (self.sim, self.jumped, self.final)
        )


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.4, 0.8, 1.0]))
@settings(max_examples=25, deadline=None)
def test_crossings_and_parts_add_up_to_the_change(seed, lam):
    run = Run(seed, lam)
    crossed, taken = (
        accumulation.crossings(run.table),
        accumulation.parts(run.table, run.before, run.jump, run.after),
    )
    for name in LABELS:
        change = (run.after[name] - run.before[name]).mean()
        assert taken.loc[name, "all"] == pytest.approx(change, abs=1e-9)
    for name in ("rank5", "rank10"):
        assert crossed.loc[name]["points"].sum() == pytest.approx(
            (run.after[name] - run.before[name]).mean(), abs=1e-9
        )
        assert crossed.loc[name]["queries"].sum() == len(run.table)
        moved = (
            crossed.loc[name]
            .groupby("anchor")[["gained", "lost"]]
            .sum()
            .drop("wrong", errors="ignore")
        )
        assert not moved.to_numpy().any(), (
            "anchors within the first five: only wrong ones move Rank-5 and Rank-10"
        )


def test_a_right_anchor_below_rank_5_does_add_to_rank_5():
    made = [Run(seed, 0.2, K=10) for seed in range(10)]
    right = pd.concat([accumulation.crossings(run.table).loc["rank5"].loc["right"] for run in made])
    assert right["gained"].sum() > 0 and right["lost"].sum() == 0


def test_what_is_counted_is_what_moved():
    run = Run(3, 0.2)
    crossed = accumulation.crossings(run.table, ks=(5,)).loc["rank5"]
    by_hand = 0
    for q in range(len(run.table)):
        rank = [
            int(
                np.flatnonzero(run.pids[1][np.argsort(-sim[q], kind="stable")] == run.pids[0][q])[0]
            )
            + 1
            for sim in (run.sim, run.final)
        ]
        by_hand += rank[0] <= 5 < rank[1]
    assert crossed["lost"].sum() == by_hand > 0
    lost = crossed[crossed["lost"] > 0]
    assert (lost["rank before"] <= 5).all() and (lost["rank after"] > 5).all()
