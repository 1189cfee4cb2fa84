"""Galleries far larger than a benchmark's: what each FAISS index finds, takes and weighs."""

import math
import time
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from icl_lib.results import progress
from icl_lib.retrieval.gallery import Gallery

# "recipe options"; * stands for a number of cells that suits the number of vectors, see `cells`.
RECIPES = (
    "Flat",
    "HNSW32 efSearch=16",
    "HNSW32 efSearch=128",
    "IVF*,Flat nprobe=4",
    "IVF*,Flat nprobe=16",
    "IVF*,SQ8 nprobe=16",
    "IVF*,PQ16 nprobe=16",
)
EXACT = "Flat"


def grow(vectors: np.ndarray, items: int, seed: int = 0, noise: float = 0.5) -> np.ndarray:
    """`items` unit vectors [items, D] float32 like the given ones [N, D], more than there are real ones of.

    Each is a real vector, mixed with up to as much of one of its ten nearest, plus Gaussian noise of `noise`
    times the vectors' own deviation in every dimension: clusters stay clusters, and what lies between is
    filled as another picture of the same or a similar person would. The first N are the real ones.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    rng, near = (
        np.random.default_rng(seed),
        Gallery(vectors).search(vectors, min(11, len(vectors)))[1],
    )
    out = np.empty((items, vectors.shape[1]), np.float32)
    spread = noise * vectors.std(0)
    for start in range(0, items, 65536):
        rows = np.arange(start, min(start + 65536, items))
        base = rng.integers(0, len(vectors), len(rows))
        other = near[base, rng.integers(0, near.shape[1], len(rows))]
        share = rng.uniform(0, 0.5, (len(rows), 1)).astype(np.float32)
        mixed = (1 - share) * vectors[base] + share * vectors[other]
        mixed += spread * rng.standard_normal(mixed.shape, dtype=np.float32)
        out[rows] = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
    out[: len(vectors)] = vectors[:items]
    return out


def cells(items: int) -> int:
    """Cells of an inverted file for so many vectors: the power of two at or below 2·√items, at least 4."""
    return max(4, 2 ** int(math.log2(max(1.0, 2 * math.sqrt(items)))))


def study(
    vectors: np.ndarray,
    queries: np.ndarray,
    sizes: Iterable[int],
    recipes: Sequence[str] = RECIPES,
    k: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Each index at each size, on vectors grown from the given ones: one row an index and size.

    `build` seconds to train and fill it; `ms` a query, searched together; `ms alone`, searched one by one
    (the median of 50); `recall` (percent) of Flat's k best; `bytes` an item and `fixed` bytes that do not
    grow with items (codebooks, cell centres), both measured by serialising; `MB` in all. Times are those of
    this machine's cores.
    """
    rows = []
    for items in sizes:
        grown, exact = grow(vectors, items, seed), None
        grouped = {EXACT: [""]} | _by_factory(recipes, items)
        for factory, every in progress(grouped.items(), f"{items:,} vectors", len(grouped)):
            start = time.perf_counter()
            gallery = _quietly(grown, factory)
            built, here = time.perf_counter() - start, []
            for options in every:
                gallery.set_options(options)
                start = time.perf_counter()
                found = gallery.search(queries, k)[1]
                ms = 1000 * (time.perf_counter() - start) / len(queries)
                exact = found if exact is None else exact
                here.append(
                    {
                        "items": items,
                        "dimensions": vectors.shape[1],
                        "index": factory,
                        "options": options,
                        "build": built,
                        "ms": ms,
                        "ms alone": _alone(gallery, queries, k),
                        "recall": recall(found, exact),
                    }
                )
            weight = _weight(gallery)
            del gallery  # before the next one is built beside it
            rows += [row | weight for row in here]
    return pd.DataFrame(rows)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Percent of the exact k best [Q, k] that are among the found [Q, k], wherever in the list."""
    return 100 * float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact)]))


def weigh(
    width: int, recipes: Sequence[str] = RECIPES, items: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """`bytes` an item and `fixed` bytes of each index for vectors of another width; values don't matter."""
    rng, rows = np.random.default_rng(seed), []
    vectors = rng.standard_normal((items, width), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for recipe in dict.fromkeys(recipe.split(" ")[0] for recipe in recipes):
        built = _quietly(vectors, recipe.replace("*", str(cells(items))))
        rows.append({"items": items, "dimensions": width, "index": built.factory} | _weight(built))
    return pd.DataFrame(rows)


def on_paper(
    weights: pd.DataFrame, items: Iterable[int] = (10**6, 10**7, 10**8, 10**9)
) -> pd.DataFrame:
    """Gigabytes (10⁹ bytes) of each index at sizes not built: items times measured bytes, plus fixed ones.

    weights: rows of `study` or `weigh`. Of an inverted file the fixed part grows as its cells, with √items.
    """
    rows = {}
    last = weights.sort_values("items").assign(family=_family(weights["index"]))
    for family, row in last.drop_duplicates("family", keep="last").set_index("family").iterrows():
        growing = [(cells(n) / cells(row["items"]) if "IVF" in family else 1) for n in items]
        rows[family] = {
            f"{n:.0e}".replace("e+0", "e"): (row["bytes"] * n + row["fixed"] * times) / 1e9
            for n, times in zip(items, growing)
        } | {"bytes an item": row["bytes"]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("index")


def _by_factory(recipes: Sequence[str], items: int) -> dict[str, list[str]]:
    """{index: its options}, so that an index with several options is built once."""
    grouped: dict[str, list[str]] = {}
    for recipe in recipes:
        factory, _, options = recipe.replace("*", str(cells(items))).partition(" ")
        grouped.setdefault(factory, []).append(options)
    return grouped


def _family(names: pd.Series) -> pd.Series:
    return names.str.replace(r"IVF\d+", "IVF", regex=True)


def _quietly(vectors: np.ndarray, factory: str) -> Gallery:
    with (
        warnings.catch_warnings()
    ):  # that more vectors would train it better is what the sizes show
        warnings.simplefilter("ignore", UserWarning)
        return Gallery(vectors, factory)


def _weight(gallery: Gallery) -> dict[str, float]:
    """`bytes` an item, `fixed` bytes and `MB` in all. Empties the index: of no use after."""
    items, total = len(gallery), gallery.bytes()
    gallery.index.reset()  # trained and empty: what is left does not grow with the items
    fixed = gallery.bytes()
    return {"bytes": (total - fixed) / items, "fixed": fixed, "MB": total / 1e6}


def _alone(gallery: Gallery, queries: np.ndarray, k: int) -> float:
    took = []
    for query in queries[:50]:
        start = time.perf_counter()
        gallery.search(query[None], k)
        took.append(time.perf_counter() - start)
    return 1000 * float(np.median(took))
