"""Tables are saved with where they come from, and found again."""

import pandas as pd

from icl_lib import load_params
from icl_lib.figures import save_table, stored_table, stored_tables
from icl_lib.figures.style import stamp


def test_a_saved_table_is_stamped(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    table = pd.DataFrame({"rank1": [1 / 3]}, index=pd.Index(["ICL"], name="method"))
    shown = save_table(table, load_params("rstp", seed=2), "results")
    assert shown is table
    written = (tmp_path / "demo/rstp/tables/results.csv").read_text()
    assert written == "profile,dataset,seed,method,rank1\ndemo,rstp,2,ICL,0.333333\n"


def test_the_stamp_says_when_the_epoch_was_picked_on_test(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    released, default = load_params("rstp", select_on="test"), load_params("rstp")
    table = pd.DataFrame({"rank1": [1.0]})
    save_table(table, released, "on_test")
    saved = pd.read_csv(released.results_dir / "tables" / "on_test.csv")
    assert saved["epoch_picked_on"].tolist() == ["test"]
    assert "epoch picked on test" in stamp(released)
    save_table(table, default, "on_val")
    assert "epoch_picked_on" not in pd.read_csv(default.results_dir / "tables" / "on_val.csv")


def test_a_table_of_an_earlier_run_is_found_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    params = load_params("rstp", seed=3)
    assert stored_table(params, "03_seeds") is None
    assert "no 03_seeds.csv" in capsys.readouterr().out
    table = pd.DataFrame({"rank1 gain": [1.5, 2.0]}, index=pd.Index([3, 4], name="seed"))
    save_table(table, params, "03_seeds")
    pd.testing.assert_frame_equal(stored_table(params, "03_seeds", "seed"), table)
    save_table(pd.DataFrame({"epoch": [0, 1]}), params, "03_noise")
    assert list(stored_table(params, "03_noise").columns) == ["epoch"]
    over_sets = pd.DataFrame({"dataset": ["cuhk"], "method": ["ICL"], "gain": [1.5]})
    save_table(over_sets, params, "06_standins")
    found = stored_table(params, "06_standins", ["dataset", "method"])
    assert found.loc[("cuhk", "ICL"), "gain"] == 1.5 and list(found.columns) == ["gain"]


def test_the_tables_of_all_data_sets_are_put_below_each_other(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    assert len(stored_tables({}, "08_main", ["method"])) == 0
    for dataset, value in (("rstp", 1.0), ("cuhk", 2.0)):
        table = pd.DataFrame({"rank1": [value]}, index=pd.Index(["ICL"], name="method"))
        save_table(table, load_params(dataset), "08_main")
    capsys.readouterr()
    found = stored_tables({"seed": 0}, "08_main", ["method"])
    assert capsys.readouterr().out.startswith("no 08_main.csv yet of ICFG-PEDES, UFine6926: ")
    assert found.index.names == ["dataset", "method"]
    assert found.loc[("RSTPReid", "ICL"), "rank1"] == 1.0
    assert found.loc[("CUHK-PEDES", "ICL"), "rank1"] == 2.0
