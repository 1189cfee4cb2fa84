"""The kit's own rule (notebook 06): evidence, fitted and priced on val, then asked on test."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from icl_lib.mllm import load_mllm
from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.results import read_json, write_json
from icl_lib.retrieval import load_backbone
from icl_lib.retrieval.metrics import NAMES
from icl_lib.stages.adapters import asker
from icl_lib.stages.backbones import backbone
from icl_lib.stages.interactions import chosen, interaction, whole_trace
from icl_lib.stages.made import stage
from icl_lib.thi import Interaction, Trace, interact, refine
from icl_lib.thi.cost import questions
from icl_lib.thi.evidence import Evidence, rank_by_evidence
from icl_lib.thi.policies import Answers, Rule, asked_at, fit_rule, play, price_of

# On val, the rule may ask this share of Algorithm 1's questions, so that it stays below on test.
BUDGET = 0.95
SPREADS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)


def fitted(
    params: Params,
    lora: bool = True,
    rda: bool = True,
    variant: str = "",
    policy: str = "",
    val: Interaction | None = None,
) -> Rule:
    """The rule, from val: parameters of highest likelihood, and a price for Algorithm 1's budget.

    The price is the lowest at which the rule asks no more than BUDGET of the questions that
    Algorithm 1 asks on val at its own chosen K, ξ and λ; thi.price takes its place. The spread is
    chosen by `best_spread` at that price; thi.spread takes its place.

    Args:
        params: the settings of the run.
        lora: for the adapted MLLM; False for the raw one.
        rda: for the backbone with RDA; False for the baseline.
        variant: as for `icl_lib.stages.backbones.baseline`.
        policy: another policy than thi.policy.
        val: another interaction of val than the run's own, see `icl_lib.stages.plugged`.
    """
    run = val or interaction(params, "val", lora, rda, variant)
    trace = whole_trace(params, run, "val", lora, variant)
    given, policy = params.thi, policy or params.thi.policy

    def build(folder: Path) -> None:
        rule = fit_rule(run, trace, policy, given.look_alikes)
        free = rule.asking(run, trace.k_max)
        play(free, trace)
        point = chosen(params, run)
        budget = questions(run.sim.max(1), run.trace, point["K"], point["xi"]).mean()
        price = price_of(free, BUDGET * budget) if given.price is None else given.price
        p_yes = asked_at(free, trace, price)
        spread = given.spread
        if spread is None:
            spread = best_spread(run, replace(trace, p_yes=p_yes), rule.evidence, point)
        told = {
            "evidence": asdict(replace(rule.evidence, spread=spread)),
            "answers": {side: shares.tolist() for side, shares in vars(rule.answers).items()},
            "policy": policy,
            "price": price,
            "questions_val": float((~np.isnan(p_yes)).sum(1).mean()),
            "algorithm1_questions_val": float(budget),
        }
        write_json(folder / "rule.json", told)

    key = {
        "trace": run.folder.name,
        "settings": given.model_dump(exclude={"rule", "variant"}) | {"policy": policy},
        "budget": BUDGET,
    }
    mark = f"{'' if lora else '-raw'}{'' if rda else '-without-rda'}"
    told = read_json(stage(params, f"evidence-{policy}{mark}", key, build, variant) / "rule.json")
    answers = Answers(*(np.array(told["answers"][side]) for side in ("right", "wrong")))
    return Rule(Evidence(**told["evidence"]), answers, told["policy"], told["price"])


def best_spread(run: Interaction, trace: Trace, evidence: Evidence, point: dict) -> float:
    """The one of SPREADS with the highest mean of Rank-1/5/10, mAP and mINP, on val.

    Only spreads count at which none of the five falls below that of Algorithm 1 at `point`, so
    that no metric is bought with another; 0 if there is no such spread.
    """
    before, means = run.per_query(**point), {0.0: -np.inf}
    for spread in SPREADS if evidence.alike is not None else ():
        after = run.by_evidence(trace, replace(evidence, spread=spread))
        gains = [float(after[name].mean() - before[name].mean()) for name in NAMES]
        if min(gains) >= 0:
            means[spread] = float(np.mean(gains))
    return max(means, key=means.__getitem__)


def asked(
    params: Params,
    run: Interaction,
    rule: Rule,
    split: str,
    lora: bool = True,
    variant: str = "",
) -> Trace:
    """The trace that the rule's policy asks for."""

    def build(folder: Path) -> None:
        interact(
            run.queries["caption"].tolist(),
            run.trace.candidates,
            asker(params, lora, variant),
            run.trace.k_max,
            run.trace.threshold,
            run.gallery["path"].tolist(),
            folder,
            ask=rule.asking(run, run.trace.k_max),
        )

    told = {"evidence": asdict(rule.evidence), "policy": rule.policy, "price": rule.price}
    key = {"trace": run.folder.name, **told, "right": rule.answers.right.tolist()}
    name = f"evidence-{split}{'' if lora else '-raw'}"
    return Trace.load(stage(params, name, key, build, variant))


def merged(
    params: Params, run: Interaction, split: str, trace: Trace, evidence: Evidence
) -> np.ndarray:
    """S(q̂, v) [Q, G] of queries merged (Eq. 4 and 5) with the candidate of the highest posterior.

    Args:
        params: the settings of the run.
        run: the interaction of the split.
        split: val or test.
        trace: the answers so far.
        evidence: the parameters of the posterior.
    """
    final = rank_by_evidence(run.sim, trace, run.vectors, evidence)
    best = np.take_along_axis(final, trace.candidates, axis=1).argmax(1)
    only = np.arange(trace.k_max) == best[:, None]

    def build(folder: Path) -> None:
        chosen_one = replace(trace, p_yes=np.where(only, 1.0, np.nan))
        queries, paths = run.queries["caption"].tolist(), run.gallery["path"].tolist()
        texts, _ = refine(queries, chosen_one, load_mllm(params), paths)
        write_json(folder / "texts.json", texts)

    key = {"trace": run.folder.name, "best": digest(best.tolist())}
    texts = read_json(stage(params, f"evidence-{split}-text", key, build) / "texts.json")
    return load_backbone(params, backbone(params)).encode_texts(texts) @ run.vectors.T
