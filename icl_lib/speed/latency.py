"""What one query costs in time: each part is timed once, and every K is added up from that."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from icl_lib.mllm.base import MLLM
from icl_lib.mllm.tasks import aggregate, describe
from icl_lib.results import progress
from icl_lib.retrieval.backbone import Backbone
from icl_lib.retrieval.gallery import Gallery
from icl_lib.speed.galleries import grow
from icl_lib.speed.timing import seconds

PARTS = ("encode", "search", "Yes/No", "describe", "merge", "re-rank")
WAYS = {"on demand": "describe", "cards": "card"}  # {way: the column that times its description}
SHOWN = 10  # pictures that a user sees


def timed(
    texts: Sequence[str],
    model: Backbone,
    gallery: Gallery,
    paths: Sequence,
    mllm: MLLM,
    cards: MLLM,
    k_max: int,
    threshold: float,
    lam: float,
) -> pd.DataFrame:
    """Times THI for each query on its own, asking until its first Yes, at most `k_max` times.

    Args:
        texts: the queries.
        model: encodes texts.
        gallery: the pictures' vectors [G, D].
        paths: the pictures' files [G].
        mllm: answers without a memory, so that answering is timed and not reading.
        cards: the same MLLM with a memory that holds a description of each picture.
        k_max: the most questions per query.
        threshold: P(Yes) above which an answer is Yes.
        lam: λ of Eq. 6.

    Returns:
        A row for each query, in seconds: `encode`, `search`, `asked` (a list, one per
        question), `describe` (the anchor, by `mllm`), `card` (the same, from the memory), `merge`,
        `re-rank`; the last four are 0 without a Yes. Besides `top`, S of the first picture, and
        `first`, the rank (from 0) of the first Yes or −1.

    Raises:
        ValueError: if `mllm` has a memory.
    """
    if hasattr(mllm, "file"):
        raise ValueError("An MLLM with a memory answers from disk: give its `inner` to time it.")
    rest = (model, gallery, paths, mllm, cards, k_max, threshold, lam)
    _query(texts[0], *rest)  # the first query pays for one-off preparations
    table = pd.DataFrame([_query(text, *rest) for text in progress(texts, "queries, one by one")])
    table.attrs["k_max"] = k_max
    return table


def parts(run: pd.DataFrame, K: int, xi: float, way: str = "on demand") -> pd.DataFrame:
    """Seconds of each of `PARTS` for every query of `timed`, at this K and ξ (Algorithm 1).

    If S of the first picture is above ξ, it alone is asked about, and a Yes makes it the anchor.
    Otherwise the first Yes makes the anchor, unless it is the first picture's. A query without an
    anchor ends after its questions.

    Args:
        run: of `timed`.
        K: at most the `k_max` of the run.
        xi: the threshold ξ of S.
        way: "on demand" describes the anchor when it is found, "cards" reads its description.

    Returns:
        A row for each query: `PARTS`, `questions` (their number) and `anchor` (whether there
        is one).

    Raises:
        ValueError: for a K that was not timed.
    """
    k_max = run.attrs["k_max"]
    if k_max < K:
        raise ValueError(
            f"K={K} was not timed: this run asks at most {k_max} questions per query. "
            f"Time it again with k_max={K}."
        )
    sure = run["top"] > xi
    asked = [
        times[: min(K, 1) if one else K] for times, one in zip(run["asked"], sure, strict=True)
    ]
    anchor = run["first"].between(0, K - 1) & ((run["first"] == 0) == sure)
    written = run[[WAYS[way], "merge", "re-rank"]].where(anchor, 0.0)
    values = [run["encode"], run["search"], [sum(times) for times in asked]]
    values += [written[name] for name in written]
    table = pd.DataFrame(dict(zip(PARTS, values, strict=True)))
    return table.assign(questions=[len(times) for times in asked], anchor=anchor)


def means(run: pd.DataFrame, Ks: Iterable[int], xi: float) -> pd.DataFrame:
    """Mean milliseconds per query of each part, for each (K, way).

    Returns:
        Rows (K, way): `PARTS` and their sum `total`; `with anchor`, the total of the queries
        that have one (NaN if none has); `questions` per query; `anchors`, percent of queries that
        have one.
    """
    rows = {}
    for K in Ks:
        for way in WAYS:
            table = parts(run, K, xi, way)
            total = table[list(PARTS)].sum(axis=1)
            rows[K, way] = {
                **(1000 * table[list(PARTS)].mean()),
                "total": 1000 * total.mean(),
                "with anchor": 1000 * total[table["anchor"]].mean(),
                "questions": table["questions"].mean(),
                "anchors": 100 * table["anchor"].mean(),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["K", "way"])


def by_gallery(
    texts: Sequence[str],
    model: Backbone,
    vectors: np.ndarray,
    sizes: Iterable[int],
    k: int,
    lam: float,
) -> pd.DataFrame:
    """Median milliseconds of the two parts that depend on the gallery's size, searched exactly.

    Args:
        texts: the queries; each also serves as its own refined text.
        model: encodes texts.
        vectors: of real pictures, from which the galleries are grown.
        sizes: numbers of pictures.
        k: pictures that a search returns.
        lam: λ of Eq. 6.

    Returns:
        Rows (pictures, index): `search`; `re-rank`, which encodes the refined text and
        searches again; `MB` of the index.
    """
    rows = {}
    queries = model.encode_texts(list(texts))
    for size in progress(list(sizes), "galleries"):
        gallery = Gallery(grow(vectors, size))
        search = [seconds(gallery.search, query[None], k)[0] for query in queries]
        again = [
            seconds(_reranked, model, gallery, query[None], text, -1, lam)[0]
            for query, text in zip(queries, texts, strict=True)
        ]
        rows[size, gallery.factory] = {
            "search": 1000 * np.median(search),
            "re-rank": 1000 * np.median(again),
            "MB": gallery.bytes() / 1e6,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["pictures", "index"])


def _query(text, model, gallery, paths, mllm, cards, k_max, threshold, lam) -> dict:
    """One query from its text to the ranking, with the seconds of every part."""
    took = dict.fromkeys(("encode", "search", "describe", "card", "merge", "re-rank"), 0.0)
    took["encode"], q = seconds(model.encode_texts, [text])
    took["search"], (scores, columns) = seconds(gallery.search, q, max(k_max, SHOWN))
    asked, first = [], -1
    for rank, column in enumerate(columns[0, :k_max]):
        question, p = seconds(mllm.p_yes, [paths[column]], [text])
        asked.append(question)
        if p[0] > threshold:
            first = rank
            break
    if first >= 0:
        anchor = columns[0, first]
        took["describe"], answers = seconds(describe, mllm, [paths[anchor]])
        took["card"], _ = seconds(describe, cards, [paths[anchor]])
        took["merge"], merged = seconds(aggregate, mllm, answers, [text])
        took["re-rank"], _ = seconds(_reranked, model, gallery, q, merged[0], anchor, lam)
    return took | {"asked": asked, "top": float(scores[0, 0]), "first": first}


def _reranked(
    model: Backbone, gallery: Gallery, q: np.ndarray, refined: str, anchor: int, lam: float
) -> np.ndarray:
    """Columns of the `SHOWN` best pictures by Eq. 6.

    One search with λ·q + (1 − λ)·q̂; the anchor (−1: none) then moves to where Ŝ = 1 puts it.
    """
    mixed = lam * q + (1 - lam) * model.encode_texts([refined])
    scores, columns = gallery.search(mixed, SHOWN)
    if anchor < 0:
        return columns[0]
    own = lam * float(q[0] @ gallery.vectors[anchor]) + 1 - lam
    others = columns[0] != anchor
    place = int((scores[0, others] > own).sum())
    return np.insert(columns[0, others], place, anchor)[:SHOWN]
