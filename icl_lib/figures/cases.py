"""One query's dialogue and its ranking before and after THI."""

import numpy as np
import pandas as pd

from icl_lib.analysis.cases import as_asked
from icl_lib.figures.dialogue import Dialogue


def dialogue(
    run, q: int, final: np.ndarray, anchor: np.ndarray, K: int, xi: float, title: str = ""
) -> Dialogue:
    """The dialogue of query number `q`, with the questions that Algorithm 1 asks at (K, xi) and no other."""
    paths = run.gallery["path"].tolist()
    return Dialogue.of(
        q,
        run.queries["caption"].tolist(),
        as_asked(run, K, xi),
        run.answers,
        run.texts,
        paths,
        run.sim,
        final,
        anchor,
        *run.pids,
        title=title,
    )


def ranking_row(
    title: str, sim: np.ndarray, gallery: pd.DataFrame, pid: int, n: int = 10, anchor: int = -1
) -> dict:
    """The first `n` images of one query by sim [G], as a row of `pictures.gallery_rows`; anchor: gallery
    column or -1.
    """
    columns = np.argsort(-np.asarray(sim), kind="stable")[:n]
    found = np.flatnonzero(columns == anchor)
    return {
        "title": title,
        "paths": gallery["path"].to_numpy()[columns].tolist(),
        "right": gallery["pid"].to_numpy()[columns] == pid,
        "anchor": int(found[0]) if len(found) else None,
    }


def before_after(run, q: int, final: np.ndarray, anchor: np.ndarray, n: int = 10) -> list[dict]:
    """Query q's first `n` images before and after THI, the anchor framed in both: rows of
    `pictures.gallery_rows`.
    """
    titles = (
        "before: S(q, v)",
        "after: Ŝ(q, v)" if anchor[q] >= 0 else "after: no anchor, nothing changes",
    )
    pid = run.pids[0][q]
    return [
        ranking_row(title, sim[q], run.gallery, pid, n, anchor[q])
        for title, sim in zip(titles, (run.sim, final))
    ]
