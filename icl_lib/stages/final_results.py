"""The result of notebook 04: THI on test, with K, xi and lambda chosen on val."""

from icl_lib.analysis.intervals import with_intervals
from icl_lib.params import Params
from icl_lib.results import read_json, update_summary
from icl_lib.stages import variants
from icl_lib.stages.backbones import backbone
from icl_lib.stages.interactions import chosen, interaction
from icl_lib.thi import Interaction
from icl_lib.thi.cost import cost


def final(params: Params) -> tuple[dict, Interaction, dict]:
    """THI on test; writes thi.final and cost of summary.json.

    With thi.variant, the interaction replays that variant, with its parameter chosen on val.

    Returns:
        The chosen K, xi and lam; the interaction of the test split; its metrics for each query.
    """
    val, run = interaction(params, "val"), interaction(params, "test")
    point, name = chosen(params, val), params.thi.variant
    summary = {"selected_on": read_json(backbone(params) / "training.json")["selected_on"]}
    if name is not None:
        value = variants.chosen_value(params, val, name, point)
        run = variants.changed(params, run, "test", name, value)
        summary |= {"variant": name, "variant_value": value}
    values = run.per_query(**point)
    update_summary(params, "thi.final", {**with_intervals(values), **point, **summary})
    update_summary(params, "cost", cost(run, point, values["anchor"]))
    return point, run, values
