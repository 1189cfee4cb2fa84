"""Variants of Algorithm 1 against counts by hand."""

from types import SimpleNamespace

import numpy as np

from icl_lib.analysis import variants
from icl_lib.thi import Trace


def values(rank1, anchor):
    return {"rank1": 100.0 * np.array(rank1), "anchor": np.array(anchor)}


def test_verdicts_counted_by_hand():
    plain = values([1, 1, 0, 0, 0, 1], [-1] * 6)
    published = values([0, 0, 1, 1, 0, 1], [1, 1, 0, 0, 1, -1])
    variant = values([1, 0, 1, 0, 1, 0], [-1, 1, 0, -1, 0, 1])
    row = variants.verdicts(plain, published, {"v": variant}, np.zeros(6), np.array([0, 7])).loc[
        "v"
    ]
    assert row.to_dict() == {
        "harmed": 2,
        "saved": 1,
        "repaired": 2,
        "lost": 1,
        "newly repaired": 1,
        "newly harmed": 1,
        "withdrawn, wrong": 1,
        "withdrawn, right": 1,
        "another anchor": 2,
    }
    assert (
        "v"
        in variants.verdicts(
            plain, published, {"v": published}, np.zeros(6), np.array([0, 7])
        ).index
    )


def test_calls_beside_algorithm_1():
    sim = np.array([[0.5, 0.4, 0.3], [0.9, 0.4, 0.3], [0.5, 0.4, 0.3]])
    trace = Trace([[0, 1, 2]] * 3, [[0.1, 0.8, np.nan], [0.8, np.nan, np.nan], [0.1, 0.2, 0.3]])
    run = SimpleNamespace(trace=trace, sim=sim)
    told = variants.calls(run, np.array([1, 0, -1]), np.array([2, 0, -1]), 3, 0.7, True)
    assert told == {"extra questions": 1, "extra pictures described": 1, "extra texts merged": 1}
    assert set(
        variants.calls(run, np.array([1, 0, -1]), np.array([-1, 0, -1]), 3, 0.7, False).values()
    ) == {0}
