"""FAISS indexes: built from a factory string, trained, and searched."""

import warnings

import numpy as np

from icl_lib.params.names import nearest

EXAMPLES = (
    "Flat",
    "HNSW32",
    "IVF256,Flat",
    "IVF1024,PQ16",
    "SQ8",
    "PQ16",
    "OPQ16,IVF1024,PQ16",
    "IVF1024,PQ16,RFlat",
)
_ENOUGH = 39  # vectors a centroid below which FAISS itself calls k-means poorly trained


def _trained(vectors: np.ndarray, factory: str):
    import faiss

    width = vectors.shape[1]
    try:
        index = faiss.index_factory(width, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        close = nearest(factory, EXAMPLES)
        hint = f" Did you mean {close!r}?" if close else ""
        raise ValueError(
            f"FAISS makes no index {factory!r} of {width} dimensions ({_short(error)}).{hint} "
            f"Examples: {', '.join(EXAMPLES)}."
        ) from None
    if index.is_trained:
        return index
    needed = _prepared(index)
    if len(vectors) < needed:
        raise ValueError(
            f"an index {factory!r} needs at least {needed:,} vectors to be trained, better "
            f'{_ENOUGH * needed:,}; the gallery has {len(vectors):,}. Use "Flat" (exact, and '
            'quick at that size), "HNSW32", or an IVF with fewer cells.'
        )
    if len(vectors) < _ENOUGH * needed:
        warnings.warn(
            f"an index {factory!r} trained on {len(vectors):,} vectors finds less than it could: "
            f"{_ENOUGH * needed:,} are advised",
            stacklevel=3,
        )
    try:
        index.train(vectors)
    except RuntimeError as error:
        raise ValueError(
            f"an index {factory!r} cannot be trained on these {len(vectors):,} vectors of "
            f'{width} dimensions ({_short(error)}). "Flat" needs no training.'
        ) from None
    return index


def _prepared(index) -> int:
    """Readies an index for its training; the size of the largest k-means in it, which needs as many vectors.

    FAISS's own word on few vectors is silenced (it comes once a sub-quantizer), and so is its optimising of
    codes for a Hamming filter that nothing here uses: of PQ16 on 1,500 vectors that is 26 of 27 seconds.
    """
    import faiss

    index, needed = faiss.downcast_index(index), 1
    for name in ("index", "base_index", "refine_index", "quantizer"):
        inner = getattr(index, name, None)
        if isinstance(inner, faiss.Index) and not inner.is_trained:
            needed = max(needed, _prepared(inner))
    if isinstance(index, faiss.IndexIVF):
        needed = max(needed, index.nlist)
        index.cp.min_points_per_centroid = 1
    if hasattr(index, "do_polysemous_training"):
        index.do_polysemous_training = False
    if hasattr(index, "pq"):
        needed = max(needed, index.pq.ksub)
        index.pq.cp.min_points_per_centroid = 1
    return needed


class _Inside:
    """A flat index's own memory as an array, which keeps the index, and so the memory, alive."""

    def __init__(self, flat):
        import faiss

        self.index = flat
        values = faiss.rev_swig_ptr(faiss.downcast_index(flat).get_xb(), flat.ntotal * flat.d)
        inner = values.__array_interface__
        read_only = (inner["data"][0], True)
        self.__array_interface__ = inner | {"data": read_only, "shape": (flat.ntotal, flat.d)}


def _inside(flat) -> np.ndarray:
    """The vectors [G, D] that a flat index holds: a read-only view of its memory, or of its mapped file."""
    return np.asarray(_Inside(flat)) if flat.ntotal else np.zeros((0, flat.d), np.float32)


def _short(error: Exception) -> str:
    """The end of FAISS's message, without the C++ signature and the file that it begins with."""
    return str(error).rsplit(":", 1)[-1].strip()
