"""Additional trainings: with other seeds, and with parts of RDA."""

import json

import numpy as np

from icl_lib import load_params, stages
from icl_lib.analysis.paper_claims import CLAIMS
from icl_lib.results import read_summary
from icl_lib.retrieval.weights import SMALL
from icl_lib.stages import ablations


def made(params):
    """Names of all results in the cache, without their hashes."""
    folders = [path.name for path in params.cache_dir.iterdir() if path.is_dir()]
    return [name.rsplit("-", 1)[0] for name in folders]


def test_another_seed_trains_on_the_same_texts_and_leaves_the_summary_alone(params, done):
    before, texts = read_summary(params), made(params).count("rda")
    runs = ablations.trained(params, 2)
    assert runs[0] == {"without RDA": stages.baseline(params), "with RDA": stages.backbone(params)}
    names = {folder.name.rsplit("-", 1)[0] for folder in runs[1].values()}
    assert names == {"baseline-seed1", "backbone-seed1"}
    assert made(params).count("rda") == texts
    assert read_summary(params) == before
    first, other = (stages.measured(params, both["with RDA"])["first"] for both in runs.values())
    assert not np.array_equal(first, other)


def test_table_6_has_all_rows_for_every_seed_and_is_made_once(params, done, capsys):
    before = read_summary(params)
    runs = ablations.table6(params, 2)
    assert set(runs) == {0, 1} and all(tuple(rows) == ablations.TABLE6 for rows in runs.values())
    values, point, cost = runs[0]["RDA + THI + LoRA"]
    assert point == done[0] and np.array_equal(values["rank1"], done[2]["rank1"])
    assert cost == read_summary(params)["cost"]
    own = stages.measured(params, stages.backbone(params))
    assert np.array_equal(runs[0]["RDA"][0]["mAP"], own["mAP"])
    assert runs[0]["baseline"][1:] == ({}, {}) and runs[1]["THI"][2]["queries"] == 40
    variants = {
        f"thi-test{raw}{start}{seed}"
        for raw in ("", "-raw")
        for start in ("", "-without-rda")
        for seed in ("", "-seed1")
    }
    assert variants | {"adapter-seed1"} <= set(made(params))
    changing = {"seconds": 0, "made_by": 0}
    assert read_summary(params) | changing == before | changing
    assert not [name for name in read_summary(params)["seconds"] if "seed" in name]
    capsys.readouterr()
    again = ablations.table6(params, 2)
    found = ablations.claim_evidence(params, again)
    assert set(found) == {0, 1} and list(found[1]) == list(CLAIMS)
    gain = again[1]["RDA"][0]["rank1"] - again[1]["baseline"][0]["rank1"]
    assert np.array_equal(found[1]["RDA helps alone (Rank-1)"], gain)
    assert "made " not in capsys.readouterr().out
    for row in ablations.TABLE6:
        assert np.array_equal(again[1][row][0]["first"], runs[1][row][0]["first"])


def test_another_seed_has_its_own_adapter_with_pairs_mined_by_its_own_baseline(params, done):
    other = params.model_copy(update={"seed": 1})
    ablations.table6(params, 2)
    key = json.loads((stages.adapter(other, "seed1") / "provenance.json").read_text())["key"]
    assert key["miner"] == stages.baseline(other, "seed1").name and key["seed"] == 1
    assert stages.adapter(other, "seed1") != stages.adapter(params)


def test_rda_is_measured_from_each_start(params, done):
    table = ablations.rda_by_start(params, {7: SMALL})
    assert table.index.tolist() == [(7, "rank1"), (7, "mAP")]
    runs = ablations.table6(params, 1)[0]
    # The same weights and the same seed give the same trainings again.
    assert table.loc[(7, "mAP"), "after"] == runs["RDA"][0]["mAP"].mean()


def test_the_ablation_trains_with_each_part_of_rda_and_finds_what_is_there(params, tiny, done):
    runs = ablations.rda_trainings(params, 1)[0]
    assert runs["captions only"] == stages.baseline(params)
    assert runs["both, w as released"] == stages.backbone(params)
    assert len(runs) == 5 and len(set(runs.values())) == 5
    released = tiny(backbone__epochs=load_params("rstp", "paper").backbone.epochs)
    assert list(ablations.rda_settings(released)) == [
        "captions only",
        "RDA's texts only",
        "both, w = 1",
        "both, w as released",
    ]


def test_a_filter_trains_another_backbone_on_the_same_texts(params, done):
    texts = made(params).count("rda")
    runs = ablations.filtered(params, 0.5)[0]
    assert runs["no filter"] == stages.backbone(params) and len(set(runs.values())) == 4
    assert made(params).count("rda") == texts
