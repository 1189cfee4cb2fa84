"""The stage of notebook 04: THI on test, with K, xi and lambda chosen on val."""

from icl_lib.analysis.intervals import with_intervals
from icl_lib.params import Params
from icl_lib.results import read_json, update_summary
from icl_lib.stages.backbones import backbone
from icl_lib.stages.interactions import chosen, interaction
from icl_lib.thi.cost import cost
from icl_lib.thi.interaction import Interaction


def final(params: Params) -> tuple[dict, Interaction, dict]:
    """(chosen K, xi, lambda; the test split's interaction; metrics query by query); fills thi.final and cost.

    With thi.variant the interaction's `replay` is that variant's, its parameter chosen on val.
    """
    val, run, told = interaction(params, "val"), interaction(params, "test"), {}
    point = chosen(params, val)
    if params.thi.variant is not None:
        from icl_lib.stages import variants  # it stands on this module

        told = {
            "variant": params.thi.variant,
            "variant_value": variants.chosen_value(params, val, params.thi.variant, point),
        }
        run = variants.changed(params, run, "test", params.thi.variant, told["variant_value"])
    values = run.per_query(**point)
    picked = read_json(backbone(params) / "training.json")["selected_on"]
    update_summary(
        params, "thi.final", {**with_intervals(values), **point, **told, "selected_on": picked}
    )
    update_summary(params, "cost", cost(run, point, values["anchor"]))
    return point, run, values
