"""Where the kit's folder, the data and the results are."""

import pytest

from icl_lib import load_params
from icl_lib.params.paths import available, repo_root


def test_data_and_results_are_in_the_kits_folder_unless_the_environment_names_others(
    monkeypatch, tmp_path
):
    for name in ("ICL_DATA", "ICL_RESULTS", "ICL_HOME"):
        monkeypatch.delenv(name, raising=False)
    demo, paper = load_params(), load_params(profile="paper")
    assert demo.data_root.parent == repo_root() / "data" / "standin"
    assert demo.data_root.name.startswith("RSTPReid")
    assert paper.data_root == repo_root() / "data" / "RSTPReid"
    assert demo.results_dir == demo.repo / "results" / "demo" / "rstp"
    monkeypatch.setenv("ICL_DATA", str(tmp_path))
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "out"))
    assert paper.data_root == tmp_path / "RSTPReid"
    assert demo.cache_dir == tmp_path / "out" / "demo" / "rstp" / "cache"
    assert load_params(root=str(tmp_path / "mine")).data_root == tmp_path / "mine"


def test_a_home_without_params_is_refused_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="Set ICL_HOME to the folder"):
        load_params()


def test_the_kits_data_sets_and_profiles_are_listed():
    assert available("datasets") == ["cuhk", "icfg", "rstp", "ufine"]
    assert available("profiles") == ["demo", "paper"]
