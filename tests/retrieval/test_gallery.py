import subprocess
import sys
import warnings

import numpy as np
import pytest

from icl_lib import load_params
from icl_lib.retrieval.gallery import Gallery, fingerprint
from icl_lib.retrieval.metrics import ranking


def unit(rng, *shape):
    vectors = rng.standard_normal(shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_search_is_the_top_of_the_full_ranking():
    rng = np.random.default_rng(0)
    gallery, queries = Gallery(unit(rng, 300, 16)), unit(rng, 40, 16)
    scores, columns = gallery.search(queries, 10)
    sim = gallery.similarity(queries)
    np.testing.assert_array_equal(columns, ranking(sim, 10))
    np.testing.assert_allclose(scores, np.take_along_axis(sim, columns, 1), atol=1e-6)


def test_mixed_query_is_one_search():
    """λ·q + (1 − λ)·q̂ against the gallery is λ·S(q, v) + (1 − λ)·S(q̂, v)."""
    rng = np.random.default_rng(1)
    gallery, q, refined = Gallery(unit(rng, 50, 8)), unit(rng, 5, 8), unit(rng, 5, 8)
    mixed = 0.8 * gallery.similarity(q) + 0.2 * gallery.similarity(refined)
    np.testing.assert_array_equal(gallery.search(0.8 * q + 0.2 * refined, 7)[1], ranking(mixed, 7))


def test_equal_scores_come_in_column_order():
    gallery = Gallery(np.tile(np.eye(4, dtype=np.float32)[:2], (3, 1)))
    np.testing.assert_array_equal(gallery.search(np.eye(4)[:1], 6)[1], [[0, 2, 4, 1, 3, 5]])
    np.testing.assert_array_equal(ranking(np.zeros((1, 4))), [[0, 1, 2, 3]])


def test_k_is_cut_and_an_empty_gallery_is_empty():
    rng = np.random.default_rng(2)
    assert Gallery(unit(rng, 3, 8)).search(unit(rng, 2, 8), 10)[1].shape == (2, 3)
    empty = Gallery(np.zeros((0, 8)))
    assert len(empty) == 0
    assert empty.search(unit(rng, 2, 8), 5)[0].shape == (2, 0)
    assert empty.similarity(unit(rng, 2, 8)).shape == (2, 0)


def test_vectors_that_do_not_fit_are_refused():
    rng = np.random.default_rng(3)
    with pytest.raises(ValueError, match="8 dimensions, but the gallery 16"):
        Gallery(unit(rng, 3, 16)).search(unit(rng, 3, 8), 2)
    with pytest.raises(ValueError, match="matrix"):
        Gallery(np.zeros(5))


def clustered(items, width=32, seed=4):
    """Unit vectors around 40 centres: what an index by cells is made for."""
    rng = np.random.default_rng(seed)
    centres = unit(rng, 40, width)
    vectors = centres[rng.integers(0, 40, items)] + 0.6 * unit(rng, items, width)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("factory", ["Flat", "HNSW16", "IVF16,Flat", "SQ8", "IVF16,PQ16x8,RFlat"])
def test_a_wide_search_of_any_index_finds_the_exact_best(factory):
    vectors = clustered(1500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gallery = Gallery(vectors, factory)
    if "IVF16," in factory and "R" not in factory:
        gallery.set_options("nprobe=16")
    exact = ranking(vectors[:50] @ vectors.T, 1)
    assert (gallery.search(vectors[:50], 5)[1][:, :1] == exact).mean() > 0.95
    np.testing.assert_allclose(gallery.similarity(vectors[:3]), vectors[:3] @ vectors.T, atol=1e-6)


def test_all_cells_of_an_ivf_give_the_exact_ranking_and_more_cells_more_recall():
    vectors, queries = clustered(2000), clustered(100, seed=5)
    exact = Gallery(vectors).search(queries, 10)[1]
    shares = []
    for probes in (1, 4, 16):
        found = Gallery(vectors, "IVF16,Flat", f"nprobe={probes}").search(queries, 10)[1]
        shares.append(
            np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact, strict=True)])
        )
    assert shares[0] < shares[1] < shares[2] == 1
    np.testing.assert_array_equal(found, exact)


def test_images_outside_the_searched_cells_are_minus_one_and_last():
    gallery = Gallery(clustered(640), "IVF16,Flat")
    scores, columns = gallery.search(clustered(5, seed=6), 640)
    missing = columns == -1
    assert missing.any() and (np.diff(missing.astype(int), axis=1) >= 0).all()
    assert (np.diff(scores, axis=1) <= 0).all()


def test_too_few_vectors_to_train_on_are_refused_with_the_number_needed():
    vectors = clustered(100)
    with pytest.raises(ValueError, match=r"of 100 vectors.*number of clusters \(128\)"):
        Gallery(vectors, "IVF128,Flat")
    with pytest.raises(ValueError, match=r"of 100 vectors.*number of clusters \(256\)"):
        Gallery(vectors, "OPQ8,IVF4,PQ8")
    with pytest.raises(ValueError, match=r"of 0 vectors.*number of clusters \(4\)"):
        Gallery(np.zeros((0, 32)), "IVF4,Flat")
    with pytest.warns(UserWarning, match="624 are advised"):
        Gallery(vectors, "IVF16,Flat")


def test_unknown_recipes_and_options_are_refused():
    vectors = clustered(700)
    with pytest.raises(ValueError, match=r"'Flatt'.*Examples of recipes: Flat"):
        Gallery(vectors, "Flatt")
    with pytest.raises(ValueError, match="multiple of the number of subquantizers"):
        Gallery(vectors, "PQ7")
    with pytest.raises(ValueError, match=r"no search options 'nprobe=4'.*Flat none"):
        Gallery(vectors, "Flat", "nprobe=4")
    with pytest.raises(ValueError, match="no search options 'nprob=4'"):
        Gallery(vectors, "IVF16,Flat", "nprob=4")


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize(
    "factory, options",
    [
        ("Flat", ""),
        ("HNSW16", "efSearch=40"),
        ("IVF16,Flat", "nprobe=3"),
        ("IVF4,PQ8x4", "nprobe=2"),
    ],
)
def test_a_saved_gallery_searches_as_before(tmp_path, factory, options, mmap):
    vectors, queries = clustered(700), clustered(20, seed=5)
    gallery = Gallery(vectors, factory, options, source="backbone-a")
    path = gallery.save(tmp_path / "gallery.faiss")
    assert path.stat().st_size == gallery.bytes()
    loaded = Gallery.load(path, vectors, "backbone-a", mmap=mmap)
    assert (loaded.factory, loaded.options, loaded.source) == (factory, options, "backbone-a")
    assert len(loaded) == 700 and loaded.fingerprint == fingerprint(vectors)
    for mine, theirs in zip(loaded.search(queries, 10), gallery.search(queries, 10), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(loaded.similarity(queries), gallery.similarity(queries))


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat"])
def test_a_mapped_gallery_stays_on_disk(tmp_path, factory):
    vectors = np.random.default_rng(0).standard_normal((100_000, 128), dtype=np.float32)  # 51 MB
    path = Gallery(vectors, factory, source="a").save(tmp_path / "gallery.faiss")
    program = """if True:
        import sys
        from icl_lib.retrieval.gallery import Gallery
        import faiss
        held = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
        before = held()
        gallery = Gallery.load(sys.argv[1], source="a", mmap=sys.argv[2] == "mmap")
        print(held() - before, len(gallery))
    """
    rose = {}
    for how in ("mmap", "memory"):
        told = subprocess.run(
            [sys.executable, "-c", program, str(path), how],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        rose[how] = int(told[0]) / 1e6
        assert told[1] == "100000"
    assert (
        rose["memory"] > 40 and rose["mmap"] < rose["memory"] / 2
    )  # what is touched while loading is read


def test_an_index_of_another_model_is_refused(tmp_path):
    vectors = clustered(50)
    path = Gallery(vectors, source="backbone-a").save(tmp_path / "gallery.faiss")
    other = vectors.copy()
    other[7, 3] = np.nextafter(other[7, 3], 2)
    for wrong in (other, vectors[::-1], vectors[:49], vectors[:, :16]):
        with pytest.raises(ValueError, match="another model or gallery"):
            Gallery.load(path, wrong)
    with pytest.raises(ValueError, match="made by 'backbone-a', not by 'backbone-b'"):
        Gallery.load(path, vectors, source="backbone-b")
    with pytest.raises(ValueError, match="say what the index should be of"):
        Gallery.load(path)
    with pytest.raises(FileNotFoundError, match="no saved gallery"):
        Gallery.load(tmp_path / "none.faiss", vectors)


def test_a_damaged_file_is_refused(tmp_path):
    vectors = clustered(50)
    path = Gallery(vectors).save(tmp_path / "gallery.faiss")
    other = Gallery(vectors[:20]).save(tmp_path / "other.faiss")
    whole = path.read_bytes()
    path.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match=r"holds 20 vectors.*says 50"):
        Gallery.load(path, vectors)
    path.write_bytes(whole[:100])
    with pytest.raises(ValueError, match="cannot be read as an index"):
        Gallery.load(path, vectors, mmap=False)


def test_a_compressed_gallery_without_its_vectors_searches_but_knows_no_exact_similarity(tmp_path):
    vectors = clustered(700)
    gallery = Gallery(vectors, "IVF4,PQ8x4", source="a")
    loaded = Gallery.load(gallery.save(tmp_path / "pq.faiss"), source="a")
    np.testing.assert_array_equal(
        loaded.search(vectors[:4], 3)[1], gallery.search(vectors[:4], 3)[1]
    )
    with pytest.raises(ValueError, match="without its vectors"):
        loaded.similarity(vectors[:4])


def test_bytes_are_those_of_the_recipe():
    vectors = clustered(2000)
    a, b = (Gallery(vectors[:n]).bytes() for n in (1000, 2000))
    assert (b - a) / 1000 == 4 * 32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = (Gallery(vectors[:n], "IVF4,PQ16").bytes() for n in (1000, 2000))
    assert (b - a) / 1000 == 16 + 8  # 16 codes of a byte, and the id


def test_the_params_choose_the_index_and_results_do_not_depend_on_it():
    vectors = clustered(700)
    plain, cells = (
        load_params("rstp"),
        load_params("rstp", index="IVF16,Flat", index_options="nprobe=4"),
    )
    assert Gallery.of(plain, vectors).factory == "Flat"
    chosen = Gallery.of(cells, vectors)
    assert (chosen.factory, chosen.options) == ("IVF16,Flat", "nprobe=4")
    assert plain.hash("backbone") == cells.hash("backbone")
