"""Additional trainings, for tables that need several: other seeds, other parts of RDA.

Each is made once, as a variant of its stage. The result is always {seed: …}, from params.seed on.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.analysis import compare, paper_claims
from icl_lib.analysis.hallucination import without_contradicted
from icl_lib.data import captions
from icl_lib.params import Params, load_params
from icl_lib.stages.backbones import backbone, baseline, measured
from icl_lib.stages.interactions import chosen, interaction, xi_grid
from icl_lib.stages.manifest import data
from icl_lib.stages.rda import reorganised
from icl_lib.thi.cost import cost

# The paper's rows 4 to 1, and two rows more.
TABLE6 = ("baseline", "RDA", "RDA + THI", "RDA + THI + LoRA", "THI", "THI + LoRA")


def trained(params: Params, seeds: int) -> dict[int, dict[str, Path]]:
    """{seed: {"without RDA": folder, "with RDA": folder}} of `seeds` trainings of each backbone."""
    return {
        own.seed: {"without RDA": baseline(own, variant), "with RDA": backbone(own, variant)}
        for own, variant in each_seed(params, seeds)
    }


def table6(params: Params, seeds: int = 1) -> dict[int, dict[str, tuple]]:
    """Table 6 in full: {seed: {row of TABLE6: (test metrics for each query, point, cost)}}.

    The rows are all combinations of RDA, THI and LoRA that differ: without THI nothing is asked, so
    LoRA changes nothing. Each seed trains both backbones and the adapter, with pairs mined by that
    seed's baseline. A row with THI has its own K, xi and lam, chosen on val, and a cost (see
    `icl_lib.thi.cost.cost`); both are {} for the others.
    """
    runs = {}
    for own, variant in each_seed(params, seeds):
        rows: dict[str, tuple] = {
            "baseline": (measured(own, baseline(own, variant)), {}, {}),
            "RDA": (measured(own, backbone(own, variant)), {}, {}),
        }
        for row in TABLE6[2:]:
            lora, rda = "LoRA" in row, "RDA" in row
            point = chosen(own, interaction(own, "val", lora, rda, variant))
            run = interaction(own, "test", lora, rda, variant)
            values = run.per_query(**point)
            rows[row] = values, point, cost(run, point, values["anchor"])
        runs[own.seed] = rows
    return runs


def rda_by_start(params: Params, weights: dict[int, Path]) -> pd.DataFrame:
    """What RDA adds to backbones that start from different weights of CLIP.

    Args:
        params: the settings of the run.
        weights: {pre-training steps: folder of a small CLIP}.

    Returns:
        `icl_lib.analysis.compare.differences` of the test metrics with RDA and without, indexed by
        step and metric.
    """
    tables = {}
    for step, folder in sorted(weights.items()):
        own, variant = params.changed("backbone", weights=str(folder)), f"clip-after-{step}"
        without, with_rda = (measured(own, train(own, variant)) for train in (baseline, backbone))
        tables[step] = compare.differences(with_rda, without, compare.MAIN)
    return pd.concat(tables, names=["step"])


def claim_evidence(
    params: Params, runs: dict[int, dict[str, tuple]]
) -> dict[int, dict[str, np.ndarray]]:
    """{seed: evidence for each of the paper's claims}, see `icl_lib.analysis.paper_claims`.

    Args:
        params: the settings of the run.
        runs: what `table6` returns for them.
    """
    found = {}
    for own, variant in each_seed(params, len(runs)):
        val, test = (interaction(own, split, variant=variant) for split in ("val", "test"))
        found[own.seed] = paper_claims.evidence(runs[own.seed], val, test, xi_grid(val))
    return found


def rda_settings(params: Params) -> dict[str, dict]:
    """What the backbone learns from: {label: changed settings of its section}.

    Captions only, RDA's texts only, and both with three weights w(epoch) of RDA's texts: 1 in every
    epoch; as released; and falling over this run's epochs as far as the released weight falls over
    the paper's epochs, left out where that is the same.
    """
    paper = load_params(params.dataset, "paper").backbone.epochs
    released = params.backbone.rda_weight_slope
    slope = round(released * paper / params.backbone.epochs, 4)
    settings = {
        "captions only": {"rda": False},
        "RDA's texts only": {"rda_texts": "only"},
        "both, w = 1": {"rda_weight_slope": 0.0},
        "both, w as released": {},
        "both, w falls to its floor": {"rda_weight_slope": slope},
    }
    return {
        label: changed
        for label, changed in settings.items()
        if changed.get("rda_weight_slope") != released
    }


def rda_trainings(params: Params, seeds: int = 1) -> dict[int, dict[str, Path]]:
    """{seed: {label: folder}} of a training with each of `rda_settings`."""
    runs: dict[int, dict[str, Path]] = {}
    for own, variant in each_seed(params, seeds):
        runs[own.seed] = {}
        for label, changed in rda_settings(params).items():
            marks = [f"{name}-{value}" for name, value in changed.items() if name != "rda"]
            name = "-".join(filter(None, [*marks, variant]))
            runs[own.seed][label] = backbone(own.changed("backbone", **changed), name)
    return runs


def filtered(params: Params, drop: float, seeds: int = 1) -> dict[int, dict[str, Path]]:
    """{seed: {filter: folder}} of the backbone trained on all of RDA's texts and on parts of them.

    The parts leave out: the share `drop` of the MLLM's additions, those with the lowest P(Yes)
    first; all additions, so that only the captions' own sub-sentences are rewritten and
    reorganised; and, on a stand-in, all that the drawing contradicts.
    """
    runs: dict[int, dict[str, Path]] = {}
    for own, variant in each_seed(params, seeds):
        runs[own.seed] = {"no filter": backbone(own, variant)}
        for label, share in {f"P(Yes), {drop:.0%} out": drop, "no additions": 1.0}.items():
            name = f"drop{share}{variant}"
            runs[own.seed][label] = backbone(own.changed("rda", drop=share), name)
        if params.data.standin:
            train = captions(data(own), "train")
            true = without_contradicted(reorganised(own), train, params.data_root)
            runs[own.seed]["truth (oracle)"] = backbone(own, f"true{variant}", true)
    return runs


def each_seed(params: Params, seeds: int) -> Iterator[tuple[Params, str]]:
    """The settings and the variant's name of `seeds` seeds; the first seed is the run's own."""
    for seed in range(params.seed, params.seed + seeds):
        own = params.model_copy(update={"seed": seed})
        yield own, "" if seed == params.seed else f"seed{seed}"
