"""Tables: the paper's numbers stand beside ours, and files say where they come from."""

import numpy as np
import pandas as pd
import pytest

from icl_lib import load_params
from icl_lib.analysis.paper import beside_paper, summary_table
from icl_lib.figures import paper_results, paper_table, save_table, stored_table
from icl_lib.figures.style import stamp


def test_papers_tables_are_whole():
    sizes = {f"table{n}": len(paper_table(f"table{n}")) for n in range(1, 7)}
    assert sizes == {
        "table1": 45,
        "table2": 10,
        "table3": 36,
        "table4": 24,
        "table5": 18,
        "table6": 12,
    }
    assert paper_table("table6_ablation").equals(paper_table("table6"))
    with pytest.raises(ValueError, match="did you mean 'table6_ablation'"):
        paper_table("table6_ablations")


@pytest.mark.parametrize(
    "dataset, icl, thi",
    [
        ("rstp", 67.70, 70.55),
        ("cuhk", 76.41, 77.91),
        ("icfg", 68.11, 69.02),
        ("ufine", 89.17, 90.67),
    ],
)
def test_paper_results_of_each_benchmark(dataset, icl, thi):
    table = paper_results(dataset)
    assert (
        table.index.is_unique
        and table.loc["ICL", "rank1"] == icl
        and table.loc["ICL+THI", "rank1"] == thi
    )
    assert (
        "RDE" in table.index
        and paper_results(dataset, "reid_pretraining").loc["ICL", "rank1"] > icl
    )


def test_beside_paper():
    results = {
        "ours": {"rank1": 45.0, "mAP": 33.0, "ci95": {"rank1": [43.0, 47.25]}},
        "own": {"rank1": 1.0},
    }
    table = beside_paper(results, "rstp", {"ours": "ICL"}).set_index("method")
    assert (
        table.loc["ours", "rank1 95% interval"] == "43.0 – 47.2"
        and table.loc["ours", "paper mAP"] == 52.62
    )
    assert np.isnan(table.loc["own", "paper rank1"])


def test_summary_table_shows_the_stages_that_have_reported():
    summary = {
        "backbone": {"rda": {"rank1": 45.0, "mAP": 33.0}},
        "thi": {"final": {"rank1": 50.0}},
        "seed": 0,
    }
    table = summary_table(summary, "rstp")
    assert table["method"].tolist() == ["backbone with RDA (ICL)", "ICL + THI"]
    assert table["paper rank1"].tolist() == [67.70, 70.55]
    assert len(summary_table({}, "rstp")) == 0


def test_save_table_is_stamped(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    table = pd.DataFrame({"rank1": [1 / 3]}, index=pd.Index(["ICL"], name="method"))
    shown = save_table(table, load_params("rstp", seed=2), "results")
    assert shown is table
    written = (tmp_path / "demo/rstp/tables/results.csv").read_text()
    assert written == "profile,dataset,seed,method,rank1\ndemo,rstp,2,ICL,0.333333\n"


def test_an_epoch_picked_on_test_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    released = load_params("rstp", select_on="test")
    save_table(pd.DataFrame({"rank1": [1.0]}), released, "some")
    saved = pd.read_csv(released.results_dir / "tables" / "some.csv")
    assert saved["epoch_picked_on"].tolist() == ["test"] and "epoch picked on test" in stamp(
        released
    )
    save_table(pd.DataFrame({"rank1": [1.0]}), load_params("rstp"), "sound")
    assert "epoch_picked_on" not in pd.read_csv(released.results_dir / "tables" / "sound.csv")
    told = {
        "ours": {"rank1": 45.0, "selected_on": "test"},
        "own": {"rank1": 1.0, "selected_on": "val"},
    }
    assert beside_paper(told, "rstp")["method"].tolist() == ["ours (epoch picked on test)", "own"]


def test_what_a_longer_run_saved_is_found_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    params = load_params("rstp", seed=3)
    assert stored_table(params, "03_seeds") is None and "no 03_seeds.csv" in capsys.readouterr().out
    table = pd.DataFrame({"rank1 gain": [1.5, 2.0]}, index=pd.Index([3, 4], name="seed"))
    save_table(table, params, "03_seeds")
    pd.testing.assert_frame_equal(stored_table(params, "03_seeds", "seed"), table)
    save_table(pd.DataFrame({"epoch": [0, 1]}), params, "03_noise")
    assert list(stored_table(params, "03_noise").columns) == ["epoch"]
