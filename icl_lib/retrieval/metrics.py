"""Rank-k, mAP and mINP of a ranking, query by query and on average, with bootstrap intervals over queries."""

import numpy as np

LABELS = {
    "rank1": "Rank-1 (%)",
    "rank5": "Rank-5 (%)",
    "rank10": "Rank-10 (%)",
    "mAP": "mAP (%)",
    "mINP": "mINP (%)",
}


def ranking(sim: np.ndarray, k: int | None = None) -> np.ndarray:
    """Columns of sim [Q, G] by descending similarity [Q, min(k, G)]; of equal ones the lower column comes
    first.
    """
    return np.argsort(-np.asarray(sim), axis=1, kind="stable")[:, :k]


NAMES = ("rank1", "rank5", "rank10", "mAP", "mINP")
_CELLS = (
    1_000_000  # similarities looked at together: they and their comparisons fit a processor's cache
)
_SORT_FROM = (
    24  # correct images a query from which one sort of the row is cheaper than a pass for each
)


def retrieval_metrics(sim, query_pids, gallery_pids) -> dict[str, float]:
    """Mean over queries of `per_query_metrics`: {"rank1", "rank5", "rank10", "mAP", "mINP"} in percent.

    sim [Q, G], query_pids [Q], gallery_pids [G]; arrays or CPU tensors. Raises ValueError for shapes that do
    not fit, NaN similarities or no query at all.
    """
    values = per_query_metrics(sim, query_pids, gallery_pids)
    if not len(values["rank1"]):
        raise ValueError("no queries: a mean over nothing has no value")
    return {name: float(values[name].mean()) for name in NAMES}


def per_query_metrics(sim, query_pids, gallery_pids) -> dict[str, np.ndarray]:
    """Each query's scores, in percent, float64 [Q], and `first`, the rank (from 1) of its first correct
    image.

    rank k: 100 if an image of the query's identity is in the top k, else 0. mAP: mean over its correct images
    of (correct so far) / (rank). mINP: (correct) / (rank of the last correct one). The ranking is that of a
    stable descending argsort: of equal similarities, the lower column comes first. A query without a correct
    image in the gallery (or with an empty gallery) scores 0 throughout, `first` = 0.
    """
    sim, query_pids, gallery_pids = (
        np.asarray(sim),
        np.asarray(query_pids),
        np.asarray(gallery_pids),
    )
    if sim.ndim != 2 or query_pids.shape != sim.shape[:1] or gallery_pids.shape != sim.shape[1:]:
        raise ValueError(
            "metrics want sim [Q, G], query_pids [Q] and gallery_pids [G], got "
            f"{sim.shape}, {query_pids.shape} and {gallery_pids.shape}"
        )
    queries, gallery = sim.shape
    out = {name: np.zeros(queries) for name in NAMES} | {"first": np.zeros(queries, dtype=np.int64)}
    chunk = max(1, _CELLS // max(1, gallery))
    for start in range(0, queries, chunk):
        rows = slice(start, start + chunk)
        for name, values in _chunk_metrics(sim[rows], query_pids[rows], gallery_pids).items():
            out[name][rows] = values
    return out


def _chunk_metrics(
    sim: np.ndarray, query_pids: np.ndarray, gallery_pids: np.ndarray
) -> dict[str, np.ndarray]:
    if np.isnan(sim).any():
        raise ValueError(
            "similarities hold NaN, so their ranking is undefined: look for it in the vectors"
        )
    correct = query_pids[:, None] == gallery_pids[None, :]  # [q, G]
    count = correct.sum(1)  # [q]
    rank = _ranks(sim, correct, count)  # [q, P] ascending, 0 where there is none
    found = rank > 0
    first = np.where(count > 0, rank[:, 0], 0)
    last = rank.max(1)
    precision = np.divide(
        np.arange(1, rank.shape[1] + 1), rank, out=np.zeros(rank.shape), where=found
    )
    safe = np.maximum(count, 1)
    hits = {f"rank{k}": 100.0 * ((first > 0) & (first <= k)) for k in (1, 5, 10)}
    return hits | {
        "mAP": 100 * precision.sum(1) / safe,
        "mINP": 100 * count / np.maximum(last, 1),
        "first": first,
    }


def _ranks(sim: np.ndarray, correct: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Ranks (from 1) of the correct images [q, P], ascending and then padded by 0; P is at least 1."""
    width = max(1, int(count.max(initial=0)))
    rank = np.full((len(sim), width), np.iinfo(np.int64).max)
    rows, columns = np.nonzero(correct)  # by row, columns ascending
    slots = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    above = _above_by_counting if width < _SORT_FROM else _above_by_sorting
    rank[rows, slots] = above(sim, rows, columns, slots) + 1
    rank.sort(axis=1)
    rank[rank == np.iinfo(np.int64).max] = 0
    return rank


def _above_by_counting(
    sim: np.ndarray, rows: np.ndarray, columns: np.ndarray, slots: np.ndarray
) -> np.ndarray:
    """How many images of a row rank above each of its correct ones [N]: counted, without sorting anything."""
    above = np.zeros(len(rows), dtype=np.int64)
    for slot in range(slots.max(initial=-1) + 1):
        here = slots == slot
        r, c = rows[here], columns[here]
        picked = sim if len(r) == len(sim) else sim[r]
        score = picked[np.arange(len(r)), c][:, None]
        higher = np.count_nonzero(picked > score, axis=1)
        tied = picked == score
        if tied.sum() > len(r):
            higher += (tied & (np.arange(sim.shape[1]) < c[:, None])).sum(1)
        above[here] = higher
    return above


def _above_by_sorting(
    sim: np.ndarray, rows: np.ndarray, columns: np.ndarray, slots: np.ndarray
) -> np.ndarray:
    """The same from each row's sorted values; their places, which cost an argsort most, are never needed."""
    above = np.zeros(len(rows), dtype=np.int64)
    starts = np.flatnonzero(slots == 0)
    for start, stop in zip(starts, [*starts[1:], len(rows)]):
        row, places = sim[rows[start]], columns[start:stop]
        values = np.sort(row)
        right = np.searchsorted(values, row[places], "right")
        higher = len(row) - right
        for i in np.flatnonzero(right - np.searchsorted(values, row[places], "left") > 1):
            higher[i] += np.count_nonzero(row[: places[i]] == row[places[i]])
        above[start:stop] = higher
    return above
