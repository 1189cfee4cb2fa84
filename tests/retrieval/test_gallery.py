import numpy as np
import pytest

from icl_lib.retrieval.gallery import Gallery, ranking


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
    with pytest.raises(ValueError, match="8 dimensions, the gallery 16"):
        Gallery(unit(rng, 3, 16)).search(unit(rng, 3, 8), 2)
    with pytest.raises(ValueError, match="matrix"):
        Gallery(np.zeros(5))
