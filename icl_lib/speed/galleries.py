"""Galleries far larger than a benchmark's: recall, time and memory of each FAISS index."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from icl_lib.results import progress
from icl_lib.retrieval.gallery import Gallery
from icl_lib.speed.timing import seconds

# {FAISS's factory string: its search options}; * stands for `cells` of the number of vectors.
RECIPES = {
    "Flat": [""],
    "HNSW32": ["efSearch=16", "efSearch=128"],
    "IVF*,Flat": ["nprobe=4", "nprobe=16"],
    "IVF*,SQ8": ["nprobe=16"],
    "IVF*,PQ16": ["nprobe=16"],
}
TOP = 10  # pictures that a search returns
NOISE = 0.5  # standard deviation of a grown vector's noise, in that of the real vectors
PAPER_SIZES = (10**6, 10**7, 10**8, 10**9)


def grow(vectors: np.ndarray, items: int, seed: int = 0) -> np.ndarray:
    """`items` unit vectors [items, D] float32 that are distributed like the real ones [N, D].

    The first N are the real ones. Each of the others is a real vector, mixed with up to as much of
    one of its ten nearest, plus Gaussian noise of `NOISE` times the real vectors' standard
    deviation in each dimension: clusters stay clusters, and the space between them fills up as by
    more pictures of similar people.
    """
    vectors, rng = np.asarray(vectors, dtype=np.float32), np.random.default_rng(seed)
    near = Gallery(vectors).search(vectors, TOP + 1)[1]
    out = np.empty((items, vectors.shape[1]), np.float32)
    for start in range(0, items, 65536):
        rows = out[start : start + 65536]
        base = rng.integers(0, len(vectors), len(rows))
        other = near[base, rng.integers(0, near.shape[1], len(rows))]
        share = rng.uniform(0, 0.5, (len(rows), 1)).astype(np.float32)
        mixed = (1 - share) * vectors[base] + share * vectors[other]
        mixed += NOISE * vectors.std(0) * rng.standard_normal(mixed.shape, dtype=np.float32)
        rows[:] = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
    out[: len(vectors)] = vectors[:items]
    return out


def cells(items: int) -> int:
    """Cells of an inverted file: the largest power of two up to 2·√items, at least 4."""
    return max(4, 2 ** int(math.log2(2 * math.sqrt(items))))


def study(
    vectors: np.ndarray,
    queries: np.ndarray,
    sizes: Iterable[int],
    recipes: Mapping[str, Sequence[str]] = RECIPES,
    seed: int = 0,
) -> pd.DataFrame:
    """Each index with each of its options, at each size, on galleries grown from `vectors` [N, D].

    Returns:
        A row for each size, index and options. `build`: seconds to train and fill the index.
        `ms` per query, all queries searched together; `ms alone`, one by one (median of 50).
        `recall`: percent of the `TOP` best that are among the pictures found. `bytes` an item and
        `fixed` bytes, which do not grow with the items (codebooks, cell centres), measured by
        serialising; `MB` in all.
    """
    rows = []
    for items in sizes:
        grown, exact = grow(vectors, items, seed), None
        every = {"Flat": [""]} | dict(recipes)
        for recipe, options in progress(every.items(), f"{items:,} vectors"):
            build, gallery = seconds(_built, grown, recipe)
            here = []
            for option in options:
                gallery.set_options(option)
                together, (_, found) = seconds(gallery.search, queries, TOP)
                alone = [seconds(gallery.search, query[None], TOP)[0] for query in queries[:50]]
                exact = found if exact is None else exact  # Flat is the first index
                row = {
                    "items": items,
                    "dimensions": vectors.shape[1],
                    "index": gallery.factory,
                    "options": option,
                    "build": build,
                    "ms": 1000 * together / len(queries),
                    "ms alone": 1000 * float(np.median(alone)),
                    "recall": recall(found, exact),
                }
                here.append(row)
            weight = _weight(gallery)
            rows += [row | weight for row in here]
            del gallery  # before the next one is built
    return pd.DataFrame(rows)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Percent of the exact best columns [Q, k] that are among the found [Q, k], at any rank."""
    return 100 * float((found[:, :, None] == exact[:, None]).any(axis=1).mean())


def weigh(width: int, recipes: Mapping[str, Sequence[str]] = RECIPES) -> pd.DataFrame:
    """A `study` of 2,000 random vectors of another width, for its `bytes` and `fixed` bytes."""
    vectors = np.random.default_rng(0).standard_normal((2000, width), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return study(vectors, vectors[:1], [len(vectors)], recipes)


def on_paper(weights: pd.DataFrame) -> pd.DataFrame:
    """Gigabytes (10⁹ bytes) of each index at `PAPER_SIZES`, none of which is built.

    Items times measured bytes, plus the fixed bytes, which grow with the number of cells in an
    inverted file.

    Args:
        weights: of `study` or `weigh`; of each index the row with the most items counts.
    """
    weights = weights.assign(family=weights["index"].str.replace(r"IVF\d+", "IVF", regex=True))
    rows = {}
    for family, sizes in weights.groupby("family", sort=False):
        row = sizes.loc[sizes["items"].idxmax()]
        gigabytes = {}
        for items in PAPER_SIZES:
            growth = cells(items) / cells(row["items"]) if "IVF" in family else 1
            total = row["bytes"] * items + row["fixed"] * growth
            gigabytes[f"{items:.0e}".replace("e+0", "e")] = total / 1e9
        rows[family] = gigabytes | {"bytes per item": row["bytes"]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("index")


def _built(vectors: np.ndarray, recipe: str) -> Gallery:
    with warnings.catch_warnings():  # FAISS advises more training vectors than small sizes have
        warnings.simplefilter("ignore", UserWarning)
        return Gallery(vectors, recipe.replace("*", str(cells(len(vectors)))))


def _weight(gallery: Gallery) -> dict[str, float]:
    """Bytes of a gallery, which is empty and of no use afterwards."""
    items, total = len(gallery), gallery.bytes()
    gallery.index.reset()  # what is left does not grow with the items
    fixed = gallery.bytes()
    return {"bytes": (total - fixed) / items, "fixed": fixed, "MB": total / 1e6}
