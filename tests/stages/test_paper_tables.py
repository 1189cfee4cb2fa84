"""The runs behind Tables 1 to 5, on a few drawn people."""

import numpy as np
import pytest

from icl_lib import stages
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.stages import paper_tables


def test_the_main_results_are_those_of_the_single_stages(params, done):
    (rows,) = paper_tables.main_results(params, 1).values()
    assert list(rows) == [
        "RDE",
        "ICL",
        "ICL + THI",
        "ICL + THI, K = 4",
        "ICL + evidence",
        "ICL + evidence, all asked",
    ]
    assert np.array_equal(rows["ICL + THI"][1]["mAP"], done[2]["mAP"])
    own = stages.evidence_results(params)
    assert np.array_equal(rows["ICL + evidence"][1]["mAP"], own["evidence"]["mAP"])
    assert rows["ICL + evidence, all asked"][0] == 4 and rows["RDE"][0] == rows["ICL"][0] == 0
    assert rows["ICL + THI"][0] <= 3
    for method, before in paper_tables.steps(params).items():
        assert method in rows and before in rows


def test_from_a_domain_to_itself_the_result_is_the_runs_own(params, done):
    _, run, values = done
    found = paper_tables.cross_domain(params, params, own_choice=True)
    assert list(found) == ["alone", "+ THI", "+ THI, chosen on target"]
    alone = per_query_metrics(run.sim, *run.pids)
    assert np.allclose(found["alone"]["mAP"], alone["mAP"])
    for name in ("+ THI", "+ THI, chosen on target"):
        assert np.allclose(found[name]["rank1"], values["rank1"])


def test_the_table_of_a_pair_has_each_method_and_what_thi_adds(params, done):
    table = paper_tables.cross_domain_table(params, params)
    percent, gain = table["percent"].unstack("metric"), table["gain"].unstack("metric")
    assert list(percent.index.sort_values()) == ["ICL", "ICL + THI", "RDE", "RDE + THI"]
    for label in ("RDE", "ICL"):
        added = percent.loc[f"{label} + THI", "mAP"] - percent.loc[label, "mAP"]
        assert gain.loc[f"{label} + THI", "mAP"] == pytest.approx(added)
        assert np.isnan(gain.loc[label, "mAP"])


def test_the_source_of_a_domain_brings_its_backbone_its_adapter_and_its_choices(
    params, tiny, done, monkeypatch
):
    target = tiny(ids_test=5)
    model = stages.backbone(params)
    told = []
    plugged = paper_tables.plugged

    def noting(*args, adapter_of):
        told.append((args[0], args[1], adapter_of))
        return plugged(*args, adapter_of=adapter_of)

    monkeypatch.setattr(paper_tables, "plugged", noting)
    loaded = []
    monkeypatch.setattr(
        paper_tables,
        "load_backbone",
        lambda own, folder: loaded.append(folder) or stages.interactions.load_backbone(own, folder),
    )
    found = paper_tables.cross_domain(params, target)
    assert told == [(target, "test", params)] and loaded == [model]
    assert list(found) == ["alone", "+ THI"]
    assert set(found["alone"]["pid"]) == set(
        stages.manifest.queries_and_gallery(target, "test")[0]["pid"]
    )


@pytest.mark.parametrize("own_adapter", [False, True])
def test_thi_is_added_to_every_backbone(params, done, monkeypatch, own_adapter):
    monkeypatch.setattr(
        paper_tables, "BACKBONES", {name: paper_tables.BACKBONES[name] for name in ("CLIP", "RDE")}
    )
    found = paper_tables.transferred(params, own_adapter)
    assert list(found) == ["CLIP", "RDE"]
    for rows in found.values():
        assert list(rows) == ["alone", "+ THI", "+ evidence"]
    own = stages.evaluated(params, stages.baseline(params), "baseline")
    assert np.allclose(found["RDE"]["alone"]["mAP"], own["mAP"])
    assert not np.allclose(found["CLIP"]["alone"]["mAP"], own["mAP"])
    means, gains = paper_tables.transferred_tables({"one adapter": found}, 0)
    row = ("one adapter", "RDE", "alone", "mAP")
    assert means.loc[row, "percent"] == pytest.approx(own["mAP"].mean())
    assert set(gains.index.get_level_values("method")) == {"+ THI", "+ evidence"}
