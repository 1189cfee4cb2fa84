"""The result of notebook 04: THI on test, with K, xi and lambda chosen on val, and evidence."""

from dataclasses import asdict, replace

import numpy as np

from icl_lib.analysis.intervals import with_intervals
from icl_lib.params import Params
from icl_lib.results import read_json, update_summary
from icl_lib.stages import evidence, variants
from icl_lib.stages.backbones import backbone
from icl_lib.stages.interactions import chosen, interaction, whole_trace
from icl_lib.thi import Interaction
from icl_lib.thi.cost import cost


def final(params: Params) -> tuple[dict, Interaction, dict]:
    """THI on test; writes thi.final and cost of summary.json.

    With thi.rule evidence, the interaction replays that rule. With thi.variant, it replays that
    variant of Algorithm 1, with its parameter chosen on val.

    Returns:
        The chosen K, xi and lam; the interaction of the test split; its metrics for each query.
    """
    val, run = interaction(params, "val"), interaction(params, "test")
    point, name = chosen(params, val), params.thi.variant
    summary = {"selected_on": read_json(backbone(params) / "training.json")["selected_on"]}
    if params.thi.rule == "evidence":
        rule = evidence.fitted(params)
        trace = evidence.asked(params, run, rule, "test")
        run = replace(run, trace=trace, evidence=rule.evidence)
        summary |= {"rule": "evidence"}
    elif name is not None:
        value = variants.chosen_value(params, val, name, point)
        run = variants.changed(params, run, "test", name, value)
        summary |= {"variant": name, "variant_value": value}
    values = run.per_query(**point)
    update_summary(params, "thi.final", {**with_intervals(values), **point, **summary})
    update_summary(params, "cost", cost(run, point, values["anchor"]))
    return point, run, values


def evidence_results(params: Params) -> dict[str, dict[str, np.ndarray]]:
    """Evidence on test; writes thi.evidence and thi.evidence_all of summary.json.

    Returns:
        {"evidence": metrics for each query, at no more questions than Algorithm 1 asks on val;
        "evidence_all": the same with all of the first thi.k_max candidates asked about}.
    """
    run, rule = interaction(params, "test"), evidence.fitted(params)
    traces = {
        "evidence": evidence.asked(params, run, rule, "test"),
        "evidence_all": whole_trace(params, run, "test"),
    }
    found = {}
    for name, trace in traces.items():
        found[name] = values = run.by_evidence(trace, rule.evidence)
        told = with_intervals(values) | {"questions": float(trace.asked.mean())}
        stops = {"policy": rule.policy, "price": rule.price} if name == "evidence" else {}
        update_summary(params, f"thi.{name}", {**told, **stops, **asdict(rule.evidence)})
    return found
