"""Evidence against Algorithm 1: step by step, over seeds, and on all data sets."""

from dataclasses import replace

import numpy as np
import pandas as pd

from icl_lib.analysis import budgets
from icl_lib.analysis.cases import as_asked
from icl_lib.mllm.load import load_calibration
from icl_lib.params import Params, load_params
from icl_lib.params.load import available
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.stages import evidence, paper_tables
from icl_lib.stages.adapters import answering
from icl_lib.stages.interactions import chosen, interaction
from icl_lib.thi.evidence import spread_out
from icl_lib.thi.sweep import LAMBDAS


def steps(params: Params) -> dict[str, dict[str, np.ndarray]]:
    """What brings evidence's gain: {step: test metrics for each query}, Algorithm 1 first.

    Its own answers as evidence, then the policy's questions, then look-alikes, then the spread,
    then the query merged with the most believed candidate, with the weight of that text chosen on
    val; evidence without calibration, and with the raw MLLM; and the spread by itself, without any
    question and after Algorithm 1.
    """
    runs = {split: interaction(params, split) for split in ("val", "test")}
    run, point = runs["test"], chosen(params, runs["val"])
    rule = evidence.fitted(params)
    posterior = replace(rule.evidence, spread=0.0)
    alone = evidence.fitted(params.changed("thi", look_alikes=False))
    traces = {split: evidence.asked(params, own, rule, split) for split, own in runs.items()}
    steps = {
        "Algorithm 1": run.per_query(**point),
        "its answers as evidence": run.by_evidence(
            as_asked(run, point["K"], point["xi"]), alone.evidence
        ),
        "+ policy": run.by_evidence(evidence.asked(params, run, alone, "test"), alone.evidence),
        "+ look-alikes": run.by_evidence(traces["test"], posterior),
        "+ spread": run.by_evidence(traces["test"], rule.evidence),
    }
    texts = {
        split: evidence.merged(params, own, split, traces[split], rule.evidence)
        for split, own in runs.items()
    }

    def with_text(split: str, weight: float) -> dict[str, np.ndarray]:
        sim = (1 - weight) * runs[split].sim + weight * texts[split]
        return replace(runs[split], sim=sim).by_evidence(traces[split], rule.evidence)

    def score(weight: float) -> float:
        values = with_text("val", weight)
        return values["rank1"].mean() + values["mAP"].mean()

    weight = max(LAMBDAS, key=score)
    steps[f"+ merged text (mu = {weight})"] = with_text("test", weight)
    platt = load_calibration(answering(params))
    said = replace(rule.evidence, trust=1 / platt.slope, neutral=float(platt(0.5)))
    steps["not calibrated"] = run.by_evidence(traces["test"], said)
    raw, raw_rule = interaction(params, "test", lora=False), evidence.fitted(params, lora=False)
    trace = evidence.asked(params, raw, raw_rule, "test", lora=False)
    steps["raw MLLM"] = raw.by_evidence(trace, raw_rule.evidence)
    for name, final in (
        ("no question, spread", run.sim),
        ("Algorithm 1, spread", run.replay(**point)[0]),
    ):
        final = spread_out(final, run.vectors, rule.evidence)
        steps[name] = per_query_metrics(final, *run.pids)
    return steps


def everywhere(params: Params, seeds: int) -> pd.DataFrame:
    """Evidence against Algorithm 1 on all data sets, with the profile and seeds of `params`.

    Returns:
        `icl_lib.analysis.budgets.gains_over_seeds` of each data set, indexed by dataset, method,
        over and metric, with the mean number of questions per query of both methods.
    """
    tables = {}
    for dataset in available("datasets"):
        limit = params.data.limit_ids
        own = load_params(dataset, params.profile, seed=params.seed, limit_ids=limit)
        runs = paper_tables.main_results(own, seeds)
        values = {seed: {name: v for name, (_, v) in rows.items()} for seed, rows in runs.items()}
        pairs = paper_tables.steps(own)
        pairs = {name: over for name, over in pairs.items() if "evidence" in name}
        table = budgets.gains_over_seeds(values, pairs)
        asked = pd.DataFrame({s: {n: q for n, (q, _) in rows.items()} for s, rows in runs.items()})
        for column, level in (("questions", "method"), ("questions before", "over")):
            table[column] = asked.mean(axis=1)[table.index.get_level_values(level)].to_numpy()
        tables[dataset] = table
    return pd.concat(tables, names=["dataset"])
