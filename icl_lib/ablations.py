"""Trainings beside a run's own, for the tables that need several: other seeds, other ingredients.

Each is made once, as a variant of its stage.
"""

from pathlib import Path

from icl_lib import stages
from icl_lib.params import Params, load_params

TABLE6 = ("baseline", "RDA", "RDA + THI", "RDA + THI + LoRA", "THI", "THI + LoRA")  # the paper's rows 4 to 1, and two more


def trained(params: Params, seeds: int) -> dict[int, dict[str, Path]]:
    """{seed: {"without RDA": folder, "with RDA": folder}} of `seeds` trainings each, from params.seed on."""
    return {other.seed: {"without RDA": stages.baseline(other, variant), "with RDA": stages.backbone(other, variant)}
            for other, variant in _seeds(params, seeds)}


def rda_settings(params: Params) -> dict[str, dict]:
    """{what the backbone learns from: settings of its section}: captions alone, RDA's texts alone, and both.

    Both have three weights w(epoch) of RDA's texts: 1 throughout, as released, and falling as far over this run's epochs as the
    released weight falls over the paper's 60 (left out where that is the same).
    """
    paper = load_params(params.dataset, "paper").backbone.epochs
    slope = round(params.backbone.rda_weight_slope * paper / params.backbone.epochs, 4)
    settings = {"captions only": {"rda": False}, "RDA's texts only": {"rda_texts": "only"}, "both, w = 1": {"rda_weight_slope": 0.0},
                "both, w as released": {}, "both, w falls to its floor": {"rda_weight_slope": slope}}
    return {label: changed for label, changed in settings.items() if changed.get("rda_weight_slope") != params.backbone.rda_weight_slope}


def rda_trainings(params: Params, seeds: int = 1) -> dict[int, dict[str, Path]]:
    """{seed: {what the backbone learned from: folder}} of `rda_settings`, from params.seed on: what RDA's gain is made of."""
    runs: dict[int, dict[str, Path]] = {}
    for seeded, variant in _seeds(params, seeds):
        runs[seeded.seed] = {}
        for label, changed in rda_settings(params).items():
            other = seeded.model_copy(update={"backbone": params.backbone.model_copy(update=changed)})
            marks = [f"{name}-{value}" for name, value in changed.items() if name != "rda"]
            runs[seeded.seed][label] = stages.backbone(other, "-".join(filter(None, [*marks, variant])))
    return runs


def table6(params: Params, seeds: int = 1) -> dict[int, dict[str, tuple]]:
    """Table 6 in full: {seed: {row of TABLE6: (test metrics query by query, chosen point, cost)}}, from params.seed on.

    The rows are all of RDA, THI and LoRA that differ: without THI nothing is asked, so LoRA changes nothing. A seed
    trains both backbones and the adapter anew, its pairs mined by that seed's baseline; each row with THI has K, xi and
    lambda chosen on val and a `cost`, the others have {} for both.
    """
    runs = {}
    for other, variant in _seeds(params, seeds):
        rows: dict[str, tuple] = {"baseline": (stages.measured(other, stages.baseline(other, variant)), {}, {}),
                                  "RDA": (stages.measured(other, stages.backbone(other, variant)), {}, {})}
        for row in TABLE6[2:]:
            lora, rda = "LoRA" in row, "RDA" in row
            point = stages.chosen(other, stages.interaction(other, "val", lora, rda, variant))
            run = stages.interaction(other, "test", lora, rda, variant)
            values = run.per_query(**point)
            rows[row] = values, point, stages.cost(run, point, values["anchor"])
        runs[other.seed] = rows
    return runs


def _seeds(params: Params, seeds: int) -> list[tuple[Params, str]]:
    """(params, variant) of `seeds` seeds from params.seed on; the first is the run's own."""
    others = [params.model_copy(update={"seed": params.seed + i}) for i in range(seeds)]
    return [(other, "" if other.seed == params.seed else f"seed{other.seed}") for other in others]
