"""The paper's qualitative claims, and whether they hold here: evidence for each, over seeds."""

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import holm, interval_text, paired_bootstrap
from icl_lib.thi import Interaction
from icl_lib.thi.sweep import LAMBDAS

LEVEL = 0.05
# claim -> what its evidence is; positive evidence speaks for the claim.
CLAIMS = {
    "RDA helps alone (Rank-1)": "Rank-1 with RDA minus without, no THI",
    "RDA helps alone (mAP)": "mAP with RDA minus without, no THI",
    "THI helps (Rank-1)": "Rank-1 with THI and LoRA minus without THI",
    "THI helps (mAP)": "mAP with THI and LoRA minus without THI",
    "THI needs LoRA": "Rank-1 of THI with LoRA minus THI with the raw MLLM",
    "Rank-5 falls a little": "Rank-5 without THI minus with",
    "Rank-10 falls a little": "Rank-10 without THI minus with",
    "the best ξ lies inside the range": "the best ξ inside minus the better of both ends",
    "the best λ is near 0.8": "λ = 0.8 minus the best λ below 0.7 or above 0.9",
    "K = 5 is enough": "Rank-1 gained at K = 5 minus 90% of that at the largest K",
}


def evidence(
    rows: dict[str, tuple], val: Interaction, test: Interaction, xis: list[float]
) -> dict[str, np.ndarray]:
    """The evidence for each of CLAIMS, one value per test query [Q], in points.

    The evidence about ξ and λ is Rank-1 + mAP, by which they are chosen too; which ξ and which λ
    are compared is chosen on val.

    Args:
        rows: one seed of what `icl_lib.stages.ablations.table6` returns.
        val: the interaction of the val split with RDA and LoRA.
        test: that of the test split.
        xis: the thresholds ξ to choose from, in rising order: nearly all queries are above the
            first one, and none is above the last.
    """
    values = {row: found[0] for row, found in rows.items()}
    point = rows["RDA + THI + LoRA"][1]
    K = point["K"]
    full, alone, bare = values["RDA + THI + LoRA"], values["RDA"], values["baseline"]
    grid = val.grid([K], xis, LAMBDAS)
    grid["score"] = grid["rank1"] + grid["mAP"]

    def best(of: pd.Series) -> np.ndarray:
        """Rank-1 + mAP of the test queries at the point that is best on val among some."""
        at = grid.loc[grid["score"].where(of).idxmax(), ["K", "xi", "lam"]]
        found = test.per_query(int(at["K"]), float(at["xi"]), float(at["lam"]))
        return found["rank1"] + found["mAP"]

    ends = grid["xi"].isin([xis[0], xis[-1]])
    near = (grid["lam"] - 0.8).abs() < 0.15
    deepest = test.per_query(test.trace.k_max, point["xi"], point["lam"])
    return dict(
        zip(
            CLAIMS,
            (
                alone["rank1"] - bare["rank1"],
                alone["mAP"] - bare["mAP"],
                full["rank1"] - alone["rank1"],
                full["mAP"] - alone["mAP"],
                full["rank1"] - values["RDA + THI"]["rank1"],
                alone["rank5"] - full["rank5"],
                alone["rank10"] - full["rank10"],
                best(~ends) - best(ends),
                best(grid["lam"] == 0.8) - best(~near),
                full["rank1"] - alone["rank1"] - 0.9 * (deepest["rank1"] - alone["rank1"]),
            ),
            strict=True,
        )
    )


def verdicts(found: dict[int, dict[str, np.ndarray]], pids) -> pd.DataFrame:
    """What the evidence of several seeds says about each claim.

    A claim holds if its mean evidence over seeds and queries is above 0, with Holm's p below 0.05
    over all claims, and above 0 in every seed as well. It does not hold if all of this is so below
    0. Otherwise it cannot be told.

    Args:
        found: {seed: `evidence`}, all about the same queries.
        pids: the person of each query [Q].

    Returns:
        A row per claim: "verdict", "evidence" (what it is), "points", its "95%" interval over
        people, "p, Holm", and "seed ..." for each seed.
    """
    rows = {}
    for claim, kind in CLAIMS.items():
        by_seed = np.stack([own[claim] for own in found.values()])  # [seeds, Q]
        test = paired_bootstrap(by_seed.mean(0), np.zeros(by_seed.shape[1]), pids)
        rows[claim] = {
            "evidence": kind,
            "points": test["difference"],
            "95%": interval_text(test["low"], test["high"], "+.2f"),
            "p": test["p"],
            **{f"seed {seed}": own[claim].mean() for seed, own in found.items()},
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("claim")
    table["p, Holm"] = holm(table.pop("p"))
    seeds = table[[f"seed {seed}" for seed in found]]
    sure = table["p, Holm"] < LEVEL
    verdict = np.select(
        [sure & (seeds > 0).all(axis=1), sure & (seeds < 0).all(axis=1)],
        ["holds", "does not hold"],
        "cannot be told",
    )
    table.insert(0, "verdict", verdict)
    return table
