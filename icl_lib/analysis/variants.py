"""How each change to Algorithm 1 fares against the published one."""

import numpy as np
import pandas as pd


def verdicts(
    plain: dict, published: dict, rows: dict[str, dict], query_pids, gallery_pids
) -> pd.DataFrame:
    """Counts the queries that each variant treats differently from Algorithm 1.

    Args:
        plain: Per-query metrics without THI.
        published: Those of Algorithm 1, with its `anchor` [Q].
        rows: {variant: its per-query metrics with `anchor`}.
        query_pids: Identity of each query [Q].
        gallery_pids: Identity of each gallery image [G].

    Returns:
        A row for each variant. A query is harmed if its first picture is right without THI and
        wrong under Algorithm 1, and repaired the other way round. Columns: harmed, saved (of
        those), repaired, lost (of those), newly repaired, newly harmed; anchors withdrawn that were
        wrong or right, and anchors replaced by another.
    """
    before, algorithm = plain["rank1"] > 0, published["rank1"] > 0
    old = published["anchor"]
    right = (old >= 0) & (np.asarray(gallery_pids)[old] == np.asarray(query_pids))
    table = {}
    for variant, values in rows.items():
        now, anchor = values["rank1"] > 0, values["anchor"]
        withdrawn = (old >= 0) & (anchor < 0)
        groups = {
            "harmed": before & ~algorithm,
            "saved": before & ~algorithm & now,
            "repaired": ~before & algorithm,
            "lost": ~before & algorithm & ~now,
            "newly repaired": ~before & ~algorithm & now,
            "newly harmed": before & algorithm & ~now,
            "withdrawn, wrong": withdrawn & ~right,
            "withdrawn, right": withdrawn & right,
            "another anchor": (anchor >= 0) & (anchor != old),
        }
        table[variant] = {name: int(group.sum()) for name, group in groups.items()}
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("method")


def calls(
    run, published: np.ndarray, anchor: np.ndarray, K: int, xi: float, behind_first_yes: bool
) -> dict[str, int]:
    """MLLM calls that a variant makes in addition to Algorithm 1's at (K, xi).

    An anchor that the variant withdraws has been described already, so it is not subtracted.

    Args:
        run: The interaction.
        published: Algorithm 1's anchors [Q].
        anchor: The variant's anchors [Q].
        K: Rounds of questions.
        xi: Threshold on the similarity of the first image.
        behind_first_yes: Whether the variant asks on, up to K, after a first Yes.
    """
    first, depth = run.trace.first_yes, min(K, run.trace.k_max)
    walked = (first >= 0) & (first < depth) & (run.sim.max(1) <= xi)
    other = (anchor >= 0) & (anchor != published)
    return {
        "extra questions": int((depth - 1 - first[walked]).sum()) if behind_first_yes else 0,
        "extra pictures described": len(set(anchor[other]) - set(published)),
        "extra texts merged": int(other.sum()),
    }
