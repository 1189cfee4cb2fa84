import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.retrieval import metrics
from icl_lib.retrieval.metrics import NAMES, per_query_metrics, retrieval_metrics


def slow(sim, query_pids, gallery_pids):
    """Sorts, walks down each list, counts."""
    rows = []
    for scores, pid in zip(sim, query_pids, strict=True):
        order = sorted(range(len(gallery_pids)), key=lambda j: (-scores[j], j))
        ranks = [rank for rank, j in enumerate(order, 1) if gallery_pids[j] == pid]
        if not ranks:
            rows.append([0.0] * 5)
            continue
        hits = [100.0 * any(rank <= k for rank in ranks) for k in (1, 5, 10)]
        ap = sum(n / rank for n, rank in enumerate(ranks, 1)) / len(ranks)
        rows.append([*hits, 100 * ap, 100 * len(ranks) / ranks[-1]])
    return np.array(rows)


def test_agrees_with_the_released_code(golden):
    found = retrieval_metrics(
        golden["metrics.sim"], golden["metrics.q_pids"], golden["metrics.g_pids"]
    )
    assert list(found) == list(NAMES)
    np.testing.assert_allclose(list(found.values()), golden["metrics.expected"], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 7),
    st.integers(0, 12),
    st.integers(1, 5),
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([1, 24]),
)
def test_agrees_with_the_double_loop(queries, gallery, identities, seed, ties, dtype, sort_from):
    """Counted (from 24) and sorted (from 1)."""
    rng = np.random.default_rng(seed)
    sim = rng.standard_normal((queries, gallery)).astype(dtype)
    if ties:
        sim = sim.round(0)
    q, g = rng.integers(0, identities, queries), rng.integers(0, identities, gallery)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_SORT_FROM", sort_from)
        found = per_query_metrics(sim, q, g)
    np.testing.assert_allclose(
        np.stack([found[name] for name in NAMES], 1), slow(sim, q, g), atol=1e-9
    )
    np.testing.assert_array_equal(found["first"] == 1, found["rank1"] == 100)


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    sim, q, g = rng.standard_normal((50, 20)), rng.integers(0, 6, 50), rng.integers(0, 6, 20)
    whole = per_query_metrics(sim, q, g)
    monkeypatch.setattr(metrics, "_CELLS", 60)
    for name, values in per_query_metrics(sim, q, g).items():
        np.testing.assert_array_equal(values, whole[name])


def test_ties_follow_a_stable_descending_argsort():
    sim = np.zeros((1, 3))
    assert retrieval_metrics(sim, [7], [7, 1, 1])["rank1"] == 100
    assert per_query_metrics(sim, [7], [1, 1, 7])["first"][0] == 3


def test_degenerate_inputs_are_defined():
    assert set(retrieval_metrics(np.zeros((2, 3)), [8, 9], [1, 2, 3]).values()) == {0.0}
    assert set(retrieval_metrics(np.zeros((2, 0)), [8, 9], []).values()) == {0.0}
    with pytest.raises(ValueError, match="no queries"):
        retrieval_metrics(np.zeros((0, 3)), [], [1, 2, 3])
    with pytest.raises(ValueError, match="NaN"):
        retrieval_metrics(np.array([[np.nan, 1.0]]), [1], [1, 2])
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        retrieval_metrics(np.zeros((2, 3)), [1, 2], [1, 2])
    assert retrieval_metrics(np.array([[-np.inf, np.inf]]), [1], [1, 2])["mAP"] == 50


def test_infinite_similarities_and_negative_zero_rank_as_in_an_argsort():
    sim = np.array([[np.inf, -np.inf, 0.0, -0.0, np.inf, -np.inf]], dtype=np.float32)
    for pid in range(6):
        first = per_query_metrics(sim, [pid], np.arange(6))["first"][0]
        assert first == 1 + np.argsort(-sim[0], kind="stable").tolist().index(pid)


def test_many_pictures_of_one_person_are_ranked_by_one_sort_alike(monkeypatch):
    rng = np.random.default_rng(3)
    sim = rng.integers(0, 40, (12, 300)).astype(np.float32)  # nearly everything is tied
    q, g = rng.integers(0, 3, 12), rng.integers(0, 3, 300)
    sorted_ = per_query_metrics(sim, q, g)
    monkeypatch.setattr(metrics, "_SORT_FROM", 10**6)
    for name, values in per_query_metrics(sim, q, g).items():
        np.testing.assert_array_equal(values, sorted_[name])
    np.testing.assert_allclose(
        np.stack([sorted_[name] for name in NAMES], 1), slow(sim, q, g), atol=1e-9
    )


@pytest.mark.parametrize("identities", [1000, 40])
def test_size_of_cuhk_pedes_is_small_beside_its_own_similarities(identities):
    """Beyond the 76 MB of similarities that it is given; 40 identities take the sorting way."""
    rng = np.random.default_rng(0)
    sim = rng.standard_normal((6156, 3074), dtype=np.float32)
    q, g = rng.integers(0, identities, 6156), rng.integers(0, identities, 3074)
    tracemalloc.start()
    retrieval_metrics(sim, q, g)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
