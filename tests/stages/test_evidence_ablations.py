"""Evidence against Algorithm 1, step by step and over data sets."""

import numpy as np
import pytest

from icl_lib import stages
from icl_lib.retrieval.metrics import NAMES
from icl_lib.stages import evidence_ablations


def test_the_steps_lead_from_algorithm_1_to_evidence(params, done):
    steps = evidence_ablations.steps(params)
    first, *middle, text, uncalibrated, raw, unasked, after = steps
    assert first == "Algorithm 1" and text.startswith("+ merged text (mu = ")
    assert middle == ["its answers as evidence", "+ policy", "+ look-alikes", "+ spread"]
    assert [uncalibrated, raw] == ["not calibrated", "raw MLLM"]
    assert [unasked, after] == ["no question, spread", "Algorithm 1, spread"]
    assert np.array_equal(steps[first]["rank1"], done[2]["rank1"])
    whole = stages.evidence_results(params)["evidence"]
    assert np.array_equal(steps["+ spread"]["mAP"], whole["mAP"])
    if text.endswith("0.0)"):
        assert np.array_equal(steps[text]["mAP"], whole["mAP"])


def test_all_data_sets_are_compared_in_one_table(params, done, monkeypatch):
    monkeypatch.setattr(evidence_ablations, "available", lambda _: ["rstp"])
    monkeypatch.setattr(evidence_ablations, "load_params", lambda *_, **__: params)
    table = evidence_ablations.everywhere(params, seeds=1)
    assert len(table) == 2 * len(NAMES) and (table["seeds above 0"] <= 1).all()
    results = stages.evidence_results(params)
    row = table.loc[("rstp", "ICL + evidence, all asked", "ICL + THI, K = 4", "mAP")]
    assert row["after"] == pytest.approx(results["evidence_all"]["mAP"].mean())
    assert row["questions"] == 4
    row = table.loc[("rstp", "ICL + evidence", "ICL + THI", "rank1")]
    assert row["before"] == pytest.approx(done[2]["rank1"].mean())
