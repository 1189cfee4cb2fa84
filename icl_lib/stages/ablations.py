"""Trainings beside a run's own, for the tables that need several: other seeds, other ingredients.

Each is made once, as a variant of its stage.
"""

from pathlib import Path

from icl_lib.analysis.hallucination import without_contradicted
from icl_lib.data.manifest import captions as captions_of
from icl_lib.params import Params, load_params
from icl_lib.stages import backbones, interactions, manifest
from icl_lib.stages import rda as rda_stages
from icl_lib.thi import cost

TABLE6 = (
    "baseline",
    "RDA",
    "RDA + THI",
    "RDA + THI + LoRA",
    "THI",
    "THI + LoRA",
)  # the paper's rows 4 to 1, and two more


def trained(params: Params, seeds: int) -> dict[int, dict[str, Path]]:
    """{seed: {"without RDA": folder, "with RDA": folder}} of `seeds` trainings each, from params.seed on."""
    return {
        other.seed: {
            "without RDA": backbones.baseline(other, variant),
            "with RDA": backbones.backbone(other, variant),
        }
        for other, variant in _seeds(params, seeds)
    }


def rda_settings(params: Params) -> dict[str, dict]:
    """{what the backbone learns from: settings of its section}: captions alone, RDA's texts alone, and both.

    Both have three weights w(epoch) of RDA's texts: 1 throughout, as released, and falling as far over this run's epochs as the
    released weight falls over the paper's 60 (left out where that is the same).
    """
    paper = load_params(params.dataset, "paper").backbone.epochs
    slope = round(params.backbone.rda_weight_slope * paper / params.backbone.epochs, 4)
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
        if changed.get("rda_weight_slope") != params.backbone.rda_weight_slope
    }


def rda_trainings(params: Params, seeds: int = 1) -> dict[int, dict[str, Path]]:
    """{seed: {what the backbone learned from: folder}} of `rda_settings`, from params.seed on: what RDA's gain is made of."""
    runs: dict[int, dict[str, Path]] = {}
    for seeded, variant in _seeds(params, seeds):
        runs[seeded.seed] = {}
        for label, changed in rda_settings(params).items():
            other = seeded.model_copy(
                update={"backbone": params.backbone.model_copy(update=changed)}
            )
            marks = [f"{name}-{value}" for name, value in changed.items() if name != "rda"]
            runs[seeded.seed][label] = backbones.backbone(
                other, "-".join(filter(None, [*marks, variant]))
            )
    return runs


def table6(params: Params, seeds: int = 1) -> dict[int, dict[str, tuple]]:
    """Table 6 in full: {seed: {row of TABLE6: (test metrics query by query, chosen point, cost)}}, from params.seed on.

    The rows are all of RDA, THI and LoRA that differ: without THI nothing is asked, so LoRA changes nothing. A seed
    trains both backbones and the adapter anew, its pairs mined by that seed's baseline; each row with THI has K, xi and
    lambda chosen on val and a `cost`, the others have {} for both.
    """
    runs = {}
    for other, variant in _seeds(params, seeds):
        rows: dict[str, tuple] = {
            "baseline": (backbones.measured(other, backbones.baseline(other, variant)), {}, {}),
            "RDA": (backbones.measured(other, backbones.backbone(other, variant)), {}, {}),
        }
        for row in TABLE6[2:]:
            lora, rda = "LoRA" in row, "RDA" in row
            point = interactions.chosen(
                other, interactions.interaction(other, "val", lora, rda, variant)
            )
            run = interactions.interaction(other, "test", lora, rda, variant)
            values = run.per_query(**point)
            rows[row] = values, point, cost.cost(run, point, values["anchor"])
        runs[other.seed] = rows
    return runs


def _seeds(params: Params, seeds: int) -> list[tuple[Params, str]]:
    """(params, variant) of `seeds` seeds from params.seed on; the first is the run's own."""
    others = [params.model_copy(update={"seed": params.seed + i}) for i in range(seeds)]
    return [(other, "" if other.seed == params.seed else f"seed{other.seed}") for other in others]


def filtered(params: Params, drop: float, seeds: int = 1) -> dict[int, dict[str, Path]]:
    """{seed: {filter: folder}}: the backbone trained on RDA's texts whole, and less a part of them.

    The parts: the share `drop` of M's additions, least believed first; all additions, so that only the captions'
    own sub-sentences are reworded and reordered; and, on a stand-in, all that the drawing contradicts.
    """
    runs: dict[int, dict[str, Path]] = {}
    for seed in range(params.seed, params.seed + seeds):
        mark = f"seed{seed}" if seed != params.seed else ""
        own = params.model_copy(update={"seed": seed})
        runs[seed] = {"no filter": backbones.backbone(own, mark)}
        for label, share in {f"P(Yes), {drop:.0%} out": drop, "no additions": 1.0}.items():
            less = own.model_copy(update={"rda": own.rda.model_copy(update={"drop": share})})
            runs[seed][label] = backbones.backbone(less, f"drop{share}{mark}")
        if params.data.standin:
            train = captions_of(manifest.data(own), "train")
            true = without_contradicted(rda_stages.reorganised(own), train, params.data_root)
            runs[seed]["truth (oracle)"] = backbones.backbone(own, f"true{mark}", true)
    return runs
