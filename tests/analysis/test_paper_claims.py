"""A claim holds, fails or cannot be told by its evidence, and the evidence is what it says."""

import numpy as np
import pytest

from icl_lib.analysis import paper_claims
from icl_lib.analysis.paper_claims import CLAIMS


def table_of(means, seeds=3, queries=400, noise=10.0):
    """Evidence with exactly these means (one per claim, or per claim and seed), and verdicts."""
    rng, found = np.random.default_rng(0), {}
    for seed in range(seeds):
        found[seed] = {}
        for claim, mean in zip(CLAIMS, means, strict=True):
            values = rng.normal(0, noise, queries)
            found[seed][claim] = values - values.mean() + np.broadcast_to(mean, seeds)[seed]
    return found, paper_claims.verdicts(found, np.arange(queries) // 4)


def test_verdicts_follow_the_sign_and_the_certainty():
    means = [5, -5, 0, (4, 4, -2), *[5] * (len(CLAIMS) - 4)]
    found, table = table_of(means)
    told = table["verdict"].tolist()
    assert told[:4] == ["holds", "does not hold", "cannot be told", "cannot be told"]
    assert set(told[4:]) == {"holds"} and list(table.index) == list(CLAIMS)
    first = table.iloc[0]
    assert first["points"] == pytest.approx(
        np.mean([own[next(iter(CLAIMS))].mean() for own in found.values()])
    )


def test_many_claims_need_more_certainty_than_one():
    _, table = table_of([1.2, *[0] * (len(CLAIMS) - 1)], seeds=1)
    low = float(table["95%"].iloc[0].split(" – ")[0])
    assert low > 0 and table["verdict"].iloc[0] == "cannot be told"
