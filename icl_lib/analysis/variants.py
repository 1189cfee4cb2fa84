"""How each change to Algorithm 1 fares against the published one."""

import numpy as np
import pandas as pd


def verdicts(
    plain: dict, published: dict, rows: dict[str, dict], query_pids, gallery_pids
) -> pd.DataFrame:
    """Queries whose first picture a variant treats otherwise than Algorithm 1 does, a row a variant.

    plain, published, rows' values: per-query metrics with `anchor`: without THI, of Algorithm 1, of each variant. Harmed:
    right without THI, wrong under Algorithm 1; repaired: the other way round. Columns: harmed, saved (of those), repaired,
    lost (of those), newly repaired, newly harmed; anchors withdrawn wrong and right, and others taken instead.
    """
    query_pids, gallery_pids = np.asarray(query_pids), np.asarray(gallery_pids)
    before, alg = plain["rank1"] > 0, published["rank1"] > 0
    old = published["anchor"]
    right = (old >= 0) & (gallery_pids[old] == query_pids)
    table = {}
    for label, values in rows.items():
        now, anchor = values["rank1"] > 0, values["anchor"]
        gone = (old >= 0) & (anchor < 0)
        table[label] = {
            "harmed": before & ~alg,
            "saved": before & ~alg & now,
            "repaired": ~before & alg,
            "lost": ~before & alg & ~now,
            "newly repaired": ~before & ~alg & now,
            "newly harmed": before & alg & ~now,
            "withdrawn, wrong": gone & ~right,
            "withdrawn, right": gone & right,
            "another anchor": (anchor >= 0) & (anchor != old),
        }
    return pd.DataFrame(
        {label: {k: int(v.sum()) for k, v in row.items()} for label, row in table.items()}
    ).T.rename_axis("method")


def calls(
    run, published: np.ndarray, anchor: np.ndarray, K: int, xi: float, behind_first_yes: bool
) -> dict[str, int]:
    """MLLM calls that a variant makes beside Algorithm 1's at (K, xi): questions, pictures described, texts merged.

    published, anchor [Q]: Algorithm 1's anchors and the variant's. behind_first_yes: it asks on, to K, where a first Yes
    was found in the list's walk. An anchor that is withdrawn was described all the same; its text may not be needed,
    and is not subtracted.
    """
    first, depth = run.trace.first_yes, min(K, run.trace.k_max)
    walked = (first >= 0) & (first < depth) & (run.sim.max(1) <= xi)
    other = (anchor >= 0) & (anchor != published)
    seen = set(published[published >= 0].tolist())
    return {
        "extra questions": int((depth - 1 - first[walked]).sum()) if behind_first_yes else 0,
        "extra pictures described": len(set(anchor[other].tolist()) - seen),
        "extra texts merged": int(other.sum()),
    }
