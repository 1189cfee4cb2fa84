import numpy as np
import pytest

from icl_lib.retrieval.gallery import Gallery
from icl_lib.speed import galleries


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    out = rng.standard_normal((20, 32))[rng.integers(0, 20, 400)] + 0.6 * rng.standard_normal(
        (400, 32)
    )
    return (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)


def test_grown_vectors_are_unit_seeded_and_like_the_real_ones(vectors):
    grown = galleries.grow(vectors, 3000, seed=1)
    assert grown.shape == (3000, 32) and grown.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(grown, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(grown, galleries.grow(vectors, 3000, seed=1))
    np.testing.assert_array_equal(grown[:400], vectors)
    np.testing.assert_array_equal(galleries.grow(vectors, 50), vectors[:50])
    assert not np.array_equal(grown, galleries.grow(vectors, 3000, seed=2))
    nearest = Gallery(vectors).search(grown[400:], 1)[0].mean()
    noise = np.random.default_rng(3).standard_normal((500, 32))
    far = Gallery(vectors).search(noise / np.linalg.norm(noise, axis=1, keepdims=True), 1)[0].mean()
    assert far + 0.2 < nearest < 1  # clustered, and not copies


def test_cells_are_powers_of_two_that_grow_with_the_root_of_the_size():
    assert [galleries.cells(n) for n in (1, 10_000, 100_000, 1_000_000)] == [4, 128, 512, 1024]


def test_recall_counts_the_exact_best_at_any_rank():
    assert galleries.recall(np.array([[1, 0], [5, 6]]), np.array([[0, 1], [6, 7]])) == 75
    assert galleries.recall(np.array([[-1, -1]]), np.array([[0, 1]])) == 0


def test_a_study_compares_with_flat_and_weighs_each_index_by_its_recipe(vectors):
    recipes = {"IVF*,Flat": ["nprobe=1", "nprobe=32"], "HNSW8": ["efSearch=32"], "SQ8": [""]}
    queries = galleries.grow(vectors, 450, seed=2)[400:]
    table = galleries.study(vectors, queries, [1000, 1500], recipes)
    assert table.groupby("items")["index"].first().tolist() == ["Flat", "Flat"]
    assert len(table) == 2 * 5
    rows = table[table["items"] == 1500].set_index(["index", "options"])
    assert rows.loc[("Flat", ""), ["recall", "bytes"]].tolist() == [100, 128]
    cells = f"IVF{galleries.cells(1500)},Flat"
    assert rows.loc[(cells, "nprobe=1"), "recall"] < rows.loc[(cells, "nprobe=32"), "recall"]
    assert rows.loc[(cells, "nprobe=1"), "build"] == rows.loc[(cells, "nprobe=32"), "build"]
    assert rows.loc[("SQ8", ""), "bytes"] == 32
    whole = rows["bytes"] * 1500 + rows["fixed"]
    np.testing.assert_allclose(whole, rows["MB"] * 1e6, rtol=1e-6)


def test_paper_sizes_are_items_times_measured_bytes():
    weights = galleries.weigh(64, {"IVF*,SQ8": ["nprobe=4", "nprobe=8"]})
    assert weights["index"].unique().tolist() == ["Flat", f"IVF{galleries.cells(2000)},SQ8"]
    table = galleries.on_paper(weights)
    assert table.loc["Flat", "1e9"] == pytest.approx(256, rel=1e-3)  # 64 floats of 4 bytes
    assert table.loc["IVF,SQ8", "bytes per item"] == pytest.approx(64 + 8, rel=0.02)
    fixed = weights["fixed"].iloc[1] * galleries.cells(10**6) / galleries.cells(2000)
    assert table.loc["IVF,SQ8", "1e6"] == pytest.approx(
        (weights["bytes"].iloc[1] * 10**6 + fixed) / 1e9
    )
