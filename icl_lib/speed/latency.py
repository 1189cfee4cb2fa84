"""What one query costs in time, part by part: every part is timed once, every K is added up from that."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from icl_lib.mllm.base import MLLM
from icl_lib.mllm.tasks import aggregate, describe
from icl_lib.results import progress
from icl_lib.retrieval.backbone import Backbone
from icl_lib.retrieval.gallery import Gallery
from icl_lib.speed.galleries import grow

PARTS = ("encode", "search", "Yes/No", "describe", "merge", "re-rank")
WAYS = ("on demand", "cards")
SHOWN = 10  # pictures that a user gets


def timed(texts: Sequence[str], model: Backbone, gallery: Gallery, paths: Sequence, mllm: MLLM, cards: MLLM,
          k_max: int, threshold: float, lam: float) -> pd.DataFrame:  # fmt: skip
    """Each query on its own, asked to its first Yes (P(Yes) > threshold), at most `k_max` times. One row a
    query.

    Columns, in seconds: encode, search, asked (a list, one a question), describe, card, merge, re-rank; and
    `top`, S(q, v̂_1), and `first`, the rank (from 0) of the first Yes or −1. Where there is none, the last
    four times are 0. `mllm` must keep no answers, else reading is measured instead of answering; `cards` is
    the same M with a memory that holds the gallery's descriptions: `card` is the time to read one.
    """
    if hasattr(mllm, "file"):
        raise ValueError(
            "An MLLM with a memory answers from disk; give its `inner` to time answering."
        )
    rows = []
    _query(
        texts[0], model, gallery, paths, mllm, cards, k_max, threshold, lam
    )  # pays for what is paid once
    for text in progress(list(texts), "queries, one by one"):
        rows.append(_query(text, model, gallery, paths, mllm, cards, k_max, threshold, lam))
    table = pd.DataFrame(rows)
    table.attrs["k_max"] = k_max
    return table


def parts(run: pd.DataFrame, K: int, xi: float, way: str = "on demand") -> pd.DataFrame:
    """Seconds of each of `PARTS` for every query of `timed` at this K and ξ (Algorithm 1), and its
    questions.

    Above ξ the first picture alone is asked about, and becomes the anchor by a Yes; at or below it the
    first Yes does, unless it is the first picture's. Queries without an anchor end after their questions.
    Raises ValueError for a K that was not timed and for an unknown way.
    """
    if way not in WAYS:
        raise ValueError(f"way {way!r} is none of {', '.join(WAYS)}.")
    if not 0 <= K <= run.attrs["k_max"]:
        depth = run.attrs["k_max"]
        raise ValueError(
            f"K={K} was not timed: questions go to {depth}. Time again with k_max={K}."
        )
    rows = []
    for query in run.to_dict("records"):
        sure, first = query["top"] > xi, query["first"]
        asked = query["asked"][: min(K, 1) if sure else K]
        anchor = 0 <= first < K and (first == 0) == sure
        shown = query["card" if way == "cards" else "describe"]
        tail = (shown, query["merge"], query["re-rank"]) if anchor else (0.0, 0.0, 0.0)
        values = dict(zip(PARTS, (query["encode"], query["search"], sum(asked), *tail)))
        rows.append(values | {"questions": len(asked), "anchor": anchor})
    return pd.DataFrame(rows)


def means(run: pd.DataFrame, Ks: Iterable[int], xi: float) -> pd.DataFrame:
    """Mean milliseconds of each part, rows (K, way): over all queries, their sum `total`, questions a query.

    `with anchor`: the total of the queries that got one (NaN if none did); `anchors`: their share in
    percent.
    """
    rows = {}
    for K in Ks:
        for way in WAYS:
            table = parts(run, K, xi, way)
            spent = table[list(PARTS)]
            found = spent[table["anchor"]].sum(axis=1)
            rows[K, way] = {**(1000 * spent.mean()), "total": 1000 * spent.sum(axis=1).mean(),
                            "with anchor": 1000 * found.mean(), "questions": table["questions"].mean(),
                            "anchors": 100 * table["anchor"].mean()}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["K", "way"])


def by_gallery(texts: Sequence[str], model: Backbone, vectors: np.ndarray, sizes: Iterable[int], k: int,
               lam: float, factories: Mapping[str, str] | None = None, seed: int = 0) -> pd.DataFrame:  # fmt: skip
    """Median milliseconds of the two parts that see the gallery, for galleries grown from its `vectors`.

    Rows: pictures, index. Columns: search (the k best of one query), re-rank (encode the refined text and
    search with λ·q + (1 − λ)·q̂), MB of the index. M's parts don't depend on the gallery. `factories`:
    {name: FAISS's recipe}.
    """
    rows = {}
    queries = model.encode_texts(list(texts))
    for size in progress(list(sizes), "galleries"):
        grown = grow(vectors, size, seed)
        for name, factory in (factories or {"Flat": "Flat"}).items():
            gallery = Gallery(grown, factory)
            took = [_clock(lambda: gallery.search(query[None], k))[0] for query in queries]
            again = [_clock(lambda: _reranked(model, gallery, query[None], text, -1, lam))[0]
                     for query, text in zip(queries, texts)]  # fmt: skip
            rows[size, name] = {"search": 1000 * np.median(took), "re-rank": 1000 * np.median(again),
                                "MB": gallery.bytes() / 1e6}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["pictures", "index"])


def _query(text, model, gallery, paths, mllm, cards, k_max, threshold, lam) -> dict:
    """One query from text to pictures, with the time of every part."""
    encode, q = _clock(lambda: model.encode_texts([text]))
    search, (scores, columns) = _clock(lambda: gallery.search(q, max(k_max, SHOWN)))
    asked, first = [], -1
    for rank, column in enumerate(columns[0, :k_max]):
        took, p = _clock(lambda: mllm.p_yes([paths[column]], [text]))
        asked.append(took)
        if p[0] > threshold:
            first = rank
            break
    told = dict.fromkeys(("describe", "card", "merge", "re-rank"), 0.0)
    if first >= 0:
        anchor = columns[0, first]
        told["describe"], answers = _clock(lambda: describe(mllm, [paths[anchor]]))
        told["card"], _ = _clock(lambda: describe(cards, [paths[anchor]]))
        told["merge"], merged = _clock(lambda: aggregate(mllm, answers, [text]))
        told["re-rank"], _ = _clock(lambda: _reranked(model, gallery, q, merged[0], anchor, lam))
    told |= {"encode": encode, "search": search, "asked": asked}
    return told | {"top": float(scores[0, 0]), "first": first}


def _reranked(
    model: Backbone, gallery: Gallery, q: np.ndarray, merged: str, anchor: int, lam: float
):
    """Columns of the first pictures by Eq. 6: one search with λ·q + (1 − λ)·q̂, the anchor lifted to S̄ = 1."""
    refined = model.encode_texts([merged])
    scores, columns = gallery.search(lam * q + (1 - lam) * refined, SHOWN)
    if anchor < 0:
        return columns[0]
    own = lam * float(q[0] @ gallery.vectors[anchor]) + 1 - lam
    others = columns[0] != anchor
    place = int((scores[0, others] > own).sum())
    return np.insert(columns[0, others], place, anchor)[:SHOWN]


def _clock(work: Callable) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
