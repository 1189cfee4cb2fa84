"""The runs behind the paper's Tables 1 to 5: every method, other data sets, other backbones."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from icl_lib.analysis import budgets, compare
from icl_lib.params import Params
from icl_lib.retrieval import load_backbone
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.stages import evidence
from icl_lib.stages.ablations import each_seed
from icl_lib.stages.backbones import backbone, baseline, measured
from icl_lib.stages.interactions import chosen, interaction, plugged, whole_trace
from icl_lib.thi import Interaction
from icl_lib.thi.cost import questions

# The retrieval models of Table 5, as changed settings of the backbone.
BACKBONES = {
    "CLIP": {"method": "clip", "loss": None, "ccd": None, "rda": False},
    "IRRA": {"method": "irra", "loss": None, "ccd": None, "rda": False},
    "RDE": {"method": "rde", "loss": None, "ccd": None, "rda": False},
    "RDE + RDA": {"method": "rde", "loss": None, "ccd": None, "rda": True},
}

Runs = dict[str, tuple[float, dict[str, np.ndarray]]]  # method: (questions per query, metrics)


def main_results(params: Params, seeds: int) -> dict[int, Runs]:
    """Tables 1 and 2: {seed: {method: (questions per query, test metrics for each query)}}.

    Every seed is trained anew. The methods are RDE, ICL (RDE with RDA), ICL + THI by Algorithm 1 at
    thi.K and at thi.k_max, with ξ and λ chosen on val for each, and ICL + evidence within the first
    one's budget and with all candidates asked about.
    """
    runs = {}
    for own, variant in each_seed(params, seeds):
        val, run = (interaction(own, split, variant=variant) for split in ("val", "test"))
        rows: Runs = {
            "RDE": (0.0, measured(own, baseline(own, variant))),
            "ICL": (0.0, per_query_metrics(run.sim, *run.pids)),
        }
        for K, name in ((own.thi.K, "ICL + THI"), (own.thi.k_max, _deep(own))):
            point = chosen(own.changed("thi", K=K), val)
            asked = questions(run.sim.max(1), run.trace, K, point["xi"])
            rows[name] = float(asked.mean()), run.per_query(**point)
        rule = evidence.fitted(own, variant=variant)
        for name, trace in (
            ("ICL + evidence", evidence.asked(own, run, rule, "test", variant=variant)),
            ("ICL + evidence, all asked", whole_trace(own, run, "test", variant=variant)),
        ):
            rows[name] = float(trace.asked.mean()), run.by_evidence(trace, rule.evidence)
        runs[own.seed] = rows
    return runs


def steps(params: Params) -> dict[str, str]:
    """What each method of `main_results` is compared with: {method: the method before it}."""
    return {
        "ICL": "RDE",
        "ICL + THI": "ICL",
        "ICL + evidence": "ICL + THI",
        "ICL + evidence, all asked": _deep(params),
    }


def cross_domain(
    source: Params, target: Params, rda: bool = True, own_choice: bool = False
) -> dict[str, dict[str, np.ndarray]]:
    """Tables 3 and 4: everything trained and chosen on `source`, tested on `target`.

    Args:
        source: the settings of the data set that the backbone and the adapter are trained on.
        target: those of the data set whose test split is searched.
        rda: use the source's backbone with RDA; False uses its baseline.
        own_choice: also choose ξ and λ on the target's val, which the setting does not allow; it
            asks about the target's val too.

    Returns:
        {"alone": test metrics of the backbone, "+ THI": Algorithm 1 at the source's ξ and λ, and
        with `own_choice` "+ THI, chosen on target"}.
    """
    model = load_backbone(source, (backbone if rda else baseline)(source))
    point = chosen(source, interaction(source, "val", rda=rda))
    run = plugged(target, "test", model, adapter_of=source)
    found = {"alone": per_query_metrics(run.sim, *run.pids), "+ THI": run.per_query(**point)}
    if own_choice:
        best = chosen(target, plugged(target, "val", model, adapter_of=source))
        found["+ THI, chosen on target"] = run.per_query(**best)
    return found


def cross_domain_table(source: Params, target: Params, own_choice: bool = False) -> pd.DataFrame:
    """`cross_domain` with and without RDA: a row for each method and metric.

    The column gain is what THI adds to its own backbone, and what the target's own ξ and λ add to
    THI, in points; the other columns are those of `icl_lib.analysis.compare.averaged`.
    """
    rows, over = {}, {}
    for label, rda in (("RDE", False), ("ICL", True)):
        found = cross_domain(source, target, rda, own_choice)
        names = {way: f"{label} {way}".replace(" alone", "") for way in found}
        rows |= {name: found[way] for way, name in names.items()}
        before = list(names.values())
        over |= dict(zip(before[1:], before, strict=False))
    runs = {source.seed: rows}
    gains = budgets.gains_over_seeds(runs, over).droplevel("over")
    return compare.averaged(runs).join(gains[["gain"]])


def transferred(params: Params, own_adapter: bool = False) -> dict[str, dict[str, dict]]:
    """Table 5: the same THI on each of BACKBONES.

    Args:
        params: the settings of the run.
        own_adapter: train an adapter for each backbone, on pairs that it mined itself; False asks
            the run's adapter, which was trained on pairs that RDE mined, about all of them.

    Returns:
        {backbone: {"alone": test metrics for each query, "+ THI": those with Algorithm 1, its ξ
        and λ chosen on val, "+ evidence": those with evidence, fitted on val}}.
    """
    found = {}
    for name, own in _backbones(params):
        if own_adapter:
            val, run = (interaction(own, split) for split in ("val", "test"))
        else:
            model = load_backbone(own, backbone(own))
            val, run = (plugged(params, split, model) for split in ("val", "test"))
        asking = own if own_adapter else params
        found[name] = _interacted(asking, val, run)
    return found


def transferred_tables(runs: dict[str, dict], seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means, and gains of THI and evidence, from {adapter: what `transferred` gives}."""
    means, gains = {}, {}
    for kind, found in runs.items():
        for name, ways in found.items():
            means[kind, name] = compare.averaged({seed: ways})
            over = {"+ THI": "alone", "+ evidence": "+ THI"}
            gains[kind, name] = budgets.gains_over_seeds({seed: ways}, over).droplevel("over")
    levels = ["adapter", "backbone"]
    return pd.concat(means, names=levels), pd.concat(gains, names=levels)


def _interacted(params: Params, val: Interaction, run: Interaction) -> dict[str, dict]:
    rule = evidence.fitted(params, val=val)
    trace = evidence.asked(params, run, rule, "test")
    return {
        "alone": per_query_metrics(run.sim, *run.pids),
        "+ THI": run.per_query(**chosen(params, val)),
        "+ evidence": run.by_evidence(trace, rule.evidence),
    }


def _backbones(params: Params) -> Iterator[tuple[str, Params]]:
    settings = params.backbone
    for name, changed in BACKBONES.items():
        # Validated anew, so that loss and ccd become the method's own.
        own = type(settings).model_validate(settings.model_dump() | changed)
        yield name, params.model_copy(update={"backbone": own})


def _deep(params: Params) -> str:
    return f"ICL + THI, K = {params.thi.k_max}"
