"""FAISS indexes by inner product: made from a recipe, trained, and read from a file."""

import warnings
from pathlib import Path

import numpy as np

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
_ENOUGH = 39  # vectors per centroid below which FAISS itself calls k-means poorly trained


def trained_index(vectors: np.ndarray, factory: str):
    """An empty index for vectors such as these [G, D], trained on them if it needs training.

    Args:
        vectors: float32, C-contiguous.
        factory: FAISS's recipe of the index, see `EXAMPLES`.

    Raises:
        ValueError: FAISS does not know the recipe, or the vectors are too few or do not fit it.
    """
    import faiss

    items, width = vectors.shape
    try:
        index = faiss.index_factory(width, factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            advised = _ENOUGH * _prepare_training(index)
            index.train(vectors)
            if items < advised:
                warnings.warn(
                    f"an index {factory!r} trained on {items:,} vectors finds less than it could: "
                    f"{advised:,} are advised",
                    stacklevel=3,
                )
    except RuntimeError as error:
        raise ValueError(
            f"FAISS cannot make an index {factory!r} of {items:,} vectors of {width} dimensions "
            f"({reason(error)}). Examples of recipes: {', '.join(EXAMPLES)}. Flat is exact and, "
            "like HNSW, needs no training; an IVF with fewer cells needs fewer vectors."
        ) from None
    return index


def read_index(path: Path, mmap: bool):
    """The index in a file; with `mmap` it stays on disk and is read as searches need it.

    Raises:
        ValueError: the file is not a FAISS index.
    """
    import faiss

    # IFC maps flat codes as well as what IO_FLAG_MMAP maps; FAISS before 1.10 lacks it.
    flag = getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP) if mmap else 0
    try:
        return faiss.read_index(str(path), flag)
    except RuntimeError as error:
        raise ValueError(
            f"{path} cannot be read as an index ({reason(error)}): make and save it again"
        ) from None


def reason(error: Exception) -> str:
    """The end of FAISS's message, without the C++ signature and file that it begins with."""
    return str(error).rsplit(":", 1)[-1].strip()


def _prepare_training(index) -> int:
    """Sets up the training of an index and of those inside it; the size of its largest k-means.

    FAISS's own warning about few vectors is silenced, since it comes once per sub-quantizer. So is
    its optimisation of PQ codes for a Hamming filter that nothing here uses: for PQ16 on 1,500
    vectors it takes 26 of 27 seconds.
    """
    import faiss

    index, clusters = faiss.downcast_index(index), 1
    for name in ("index", "base_index", "refine_index", "quantizer"):
        inner = getattr(index, name, None)
        if isinstance(inner, faiss.Index) and not inner.is_trained:
            clusters = max(clusters, _prepare_training(inner))
    if isinstance(index, faiss.IndexIVF):
        clusters = max(clusters, index.nlist)
        index.cp.min_points_per_centroid = 1
    if hasattr(index, "do_polysemous_training"):
        index.do_polysemous_training = False
    if hasattr(index, "pq"):
        clusters = max(clusters, index.pq.ksub)
        index.pq.cp.min_points_per_centroid = 1
    return clusters
