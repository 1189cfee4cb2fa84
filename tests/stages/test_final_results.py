"""The last stage makes all that it needs, once, and replays a variant if it is told to."""

from dataclasses import replace

import numpy as np
import pytest

from icl_lib import stages
from icl_lib.mllm.local import LocalMLLM
from icl_lib.results import read_summary
from icl_lib.retrieval.metrics import NAMES
from icl_lib.stages import evidence
from icl_lib.thi import questions


def test_the_last_stage_alone_makes_all_it_needs(params, done):
    point, run, values = done
    assert point["K"] == 3 and 0 <= point["lam"] <= 1
    assert run.sim.shape == run.sim_refined.shape == (40, 20) and len(values["rank1"]) == 40
    stages_made = {"baseline", "rda", "adapter", "backbone", "thi-val", "thi-test"}
    assert stages_made <= {path.name.rsplit("-", 1)[0] for path in params.cache_dir.iterdir()}
    summary = read_summary(params)
    assert summary["profile"] == "demo" and summary["thi"]["final"]["ci95"]["rank1"]
    assert summary["cost"]["questions"] <= summary["cost"]["released_questions"]
    assert set(summary["seconds"]) >= stages_made | {"data"}


def test_a_second_run_makes_and_asks_nothing(params, done, monkeypatch, capsys):
    def never(*_, **__):
        raise AssertionError("the MLLM was asked again")

    monkeypatch.setattr(LocalMLLM, "p_yes", never)
    monkeypatch.setattr(LocalMLLM, "write", never)
    point, run, _ = stages.final(params)
    assert point == done[0] and np.array_equal(run.sim_refined, done[1].sim_refined)
    assert "made " not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["argmax", "second_look", "adding"])
def test_a_variant_replays_the_final_run_and_is_off_by_default(params, tiny, done, name):
    varied = tiny(variant=name)
    point, run, values = stages.final(varied)
    assert point == done[0] and read_summary(varied)["thi"]["final"]["variant"] == name
    assert np.array_equal(run.replay(**point)[1], values["anchor"]) and run.change is not None
    same = np.array_equal(run.trace.p_yes, done[1].trace.p_yes, equal_nan=True)
    assert same, "the trace stays Algorithm 1's"
    stages.final(params)
    assert "variant" not in read_summary(params)["thi"]["final"] and done[1].change is None


def test_evidence_asks_within_its_budget_and_is_reported_beside_algorithm_1(params, done):
    found = stages.evidence_results(params)
    told = read_summary(params)["thi"]
    assert set(told) >= {"final", "evidence", "evidence_all"}
    for name, values in found.items():
        assert told[name]["rank1"] == pytest.approx(values["rank1"].mean())
        assert told[name]["ci95"]["mAP"]
    assert told["evidence_all"]["questions"] == 4 >= told["evidence"]["questions"] >= 0
    rule = evidence.fitted(params)
    val = stages.interaction(params, "val")
    asked = evidence.asked(params, val, rule, "val").asked.mean()
    point = stages.chosen(params, val)
    of_algorithm1 = questions(val.sim.max(1), val.trace, point["K"], point["xi"]).mean()
    assert asked <= evidence.BUDGET * of_algorithm1


def test_the_spread_has_the_highest_mean_without_a_metric_below_algorithm_1(params, tiny, done):
    rule, val = evidence.fitted(params), stages.interaction(params, "val")
    before = val.per_query(**stages.chosen(params, val))
    trace = evidence.asked(params, val, rule, "val")

    def gains(spread):
        after = val.by_evidence(trace, replace(rule.evidence, spread=spread))
        return np.array([after[name].mean() - before[name].mean() for name in NAMES])

    allowed = [spread for spread in evidence.SPREADS if gains(spread).min() >= 0]
    best = max(allowed, key=lambda spread: gains(spread).mean(), default=0.0)
    assert rule.evidence.spread == best
    assert evidence.fitted(tiny(spread=0.3)).evidence.spread == 0.3
    assert evidence.fitted(tiny(look_alikes=False)).evidence.spread == 0


def test_the_rule_evidence_takes_algorithm_1s_place(params, tiny, done):
    point, run, values = stages.final(tiny(rule="evidence"))
    final, anchor = run.replay(**point)
    assert run.evidence is not None and np.array_equal(anchor, values["anchor"])
    told = read_summary(params)
    assert told["thi"]["final"]["rule"] == "evidence"
    assert told["cost"]["questions"] == run.trace.asked.sum()
    first = final.argmax(1)
    for q in np.flatnonzero(anchor >= 0):
        place = run.trace.candidates[q].tolist().index(first[q])
        assert anchor[q] == first[q] and run.trace.p_yes[q, place] > run.trace.threshold
    stages.final(params)
    assert "rule" not in read_summary(params)["thi"]["final"]


def test_a_given_price_takes_the_place_of_the_budget(tiny, done):
    assert evidence.fitted(tiny(price=0.25)).price == 0.25
    with pytest.raises(ValueError, match="variant=gate changes Algorithm 1"):
        tiny(rule="evidence", variant="gate")
