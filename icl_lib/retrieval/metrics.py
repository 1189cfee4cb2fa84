"""Rank-k, mAP and mINP of a ranking, for each query and on average."""

import numpy as np

LABELS = {
    "rank1": "Rank-1 (%)",
    "rank5": "Rank-5 (%)",
    "rank10": "Rank-10 (%)",
    "mAP": "mAP (%)",
    "mINP": "mINP (%)",
}
NAMES = tuple(LABELS)
_CELLS = 1_000_000  # similarities compared at a time, so that they fit a processor's cache
_SORT_FROM = 64  # correct images per query from which sorting is cheaper than counting


def ranking(sim: np.ndarray, k: int | None = None) -> np.ndarray:
    """Gallery columns by descending similarity [Q, min(k, G)], from sim [Q, G].

    Among equal similarities the lower column comes first.
    """
    return np.argsort(-np.asarray(sim), axis=1, kind="stable")[:, :k]


def retrieval_metrics(sim, query_pids, gallery_pids) -> dict[str, float]:
    """Rank-1, Rank-5, Rank-10, mAP and mINP in percent, each averaged over all queries.

    Args:
        sim: similarities [Q, G], an array or a CPU tensor.
        query_pids: identities of the queries [Q].
        gallery_pids: identities of the gallery images [G].

    Returns:
        {"rank1", "rank5", "rank10", "mAP", "mINP"}, see `per_query_metrics`.

    Raises:
        ValueError: the shapes do not fit, a similarity is NaN, or there is no query.
    """
    values = per_query_metrics(sim, query_pids, gallery_pids)
    if not len(values["rank1"]):
        raise ValueError("no queries: a mean over nothing has no value")
    return {name: float(values[name].mean()) for name in NAMES}


def per_query_metrics(sim, query_pids, gallery_pids) -> dict[str, np.ndarray]:
    """The metrics of each query in percent, float64 [Q], its first match's rank, and its person.

    A match is a gallery image of the query's identity; ranks count from 1 in the order of
    `ranking`. A query without a match scores 0 throughout and has `first` = 0. For the arguments
    and errors see `retrieval_metrics`.

    Returns:
        rank1, rank5, rank10: 100 if a match is among the first k images, else 0.
        mAP: average precision, the mean over the matches of (matches so far) / (rank).
        mINP: inverse negative penalty, (number of matches) / (rank of the last match).
        first: rank of the first match, int64.
        pid: identity of the query, as given.
    """
    sim, query_pids, gallery_pids = map(np.asarray, (sim, query_pids, gallery_pids))
    if sim.ndim != 2 or query_pids.shape != sim.shape[:1] or gallery_pids.shape != sim.shape[1:]:
        raise ValueError(
            "metrics need sim [Q, G], query_pids [Q] and gallery_pids [G], but got "
            f"{sim.shape}, {query_pids.shape} and {gallery_pids.shape}"
        )
    queries, gallery = sim.shape
    out = {name: np.zeros(queries) for name in NAMES} | {"first": np.zeros(queries, dtype=np.int64)}
    chunk = max(1, _CELLS // max(1, gallery))
    for start in range(0, queries, chunk):
        rows = slice(start, start + chunk)
        for name, values in _chunk_metrics(sim[rows], query_pids[rows], gallery_pids).items():
            out[name][rows] = values
    return out | {"pid": query_pids}


def _chunk_metrics(
    sim: np.ndarray, query_pids: np.ndarray, gallery_pids: np.ndarray
) -> dict[str, np.ndarray]:
    if np.isnan(sim).any():
        raise ValueError(
            "the similarities contain NaN, so there is no ranking: look for NaN in the vectors"
        )
    match = query_pids[:, None] == gallery_pids[None, :]  # [q, G]
    count = match.sum(1)  # [q]
    rank = _match_ranks(sim, match, count)  # [q, P]
    last = rank[np.arange(len(rank)), np.maximum(count, 1) - 1]
    precision = np.arange(1, rank.shape[1] + 1) / rank
    return {f"rank{k}": 100.0 * (rank[:, 0] <= k) for k in (1, 5, 10)} | {
        "mAP": 100 * precision.sum(1) / np.maximum(count, 1),
        "mINP": 100 * count / last,
        "first": np.where(count > 0, rank[:, 0], 0),
    }


def _match_ranks(sim: np.ndarray, match: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Ranks (from 1) of each query's matches [q, P], ascending, then inf; P is at least 1."""
    width = max(1, int(count.max(initial=0)))
    rank = np.full((len(sim), width), np.inf)
    rows, columns = np.nonzero(match)  # row by row, columns ascending
    slots = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    if width < _SORT_FROM:
        for slot in range(width):
            here = slots == slot
            r, c = rows[here], columns[here]
            rank[r, slot] = 1 + _images_above(sim if len(r) == len(sim) else sim[r], c)
    else:
        rank[rows, slots] = 1 + np.argsort(ranking(sim), axis=1)[rows, columns]
    rank.sort(axis=1)
    return rank


def _images_above(sim: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """How many images of each row of sim [q, G] rank above the one at columns [q]."""
    score = sim[np.arange(len(sim)), columns][:, None]
    above = np.count_nonzero(sim > score, axis=1)
    tied = sim == score
    if tied.sum() > len(sim):  # an image ties with itself; other ties rank by column
        above += (tied & (np.arange(sim.shape[1]) < columns[:, None])).sum(1)
    return above
