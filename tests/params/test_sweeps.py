"""Studies: their files fit the notebooks, and Snakemake runs, keeps and continues them."""

import os
import subprocess
import sys

import pytest
import yaml

from icl_lib.cli import notebooks
from icl_lib.params.paths import repo_root

SWEEPS = repo_root() / "params" / "sweeps"
STUDIES = sorted(SWEEPS.glob("*.yaml"))


def snakemake(tmp_path, *arguments, study="tables"):
    """Runs a study with results and data below tmp_path; returns (exit status, output)."""
    pytest.importorskip("snakemake", reason="Snakemake is not installed: make sweeps")
    places = {"ICL_RESULTS": str(tmp_path / "results"), "ICL_DATA": str(tmp_path / "data")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "-s", SWEEPS / "Snakefile"),
            *("--configfile", SWEEPS / f"{study}.yaml", "-c2", *arguments),
        ],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_names_notebooks_parameters_and_data_sets_that_exist(path):
    config = yaml.safe_load(path.read_text())
    for name, job in config["notebooks"].items():
        for dataset in config["datasets"]:
            given = {"dataset": dataset, "profile": config["profile"]} | job.get("parameters", {})
            (planned,) = notebooks.plan([notebooks.find(name)], given)
            assert planned.path.stem == name and planned.given == given
        assert set(job.get("after", [])) <= set(config["notebooks"])
    assert {name for wanted in config["targets"].values() for name in wanted} <= set(
        config["notebooks"]
    )


def test_the_six_tables_are_sixteen_jobs_on_four_data_sets(tmp_path):
    status, told = snakemake(tmp_path, "-n", "all")
    assert status == 0, told
    assert "notebook       16" in told
    for table in range(1, 7):
        status, told = snakemake(tmp_path, "-n", f"table{table}")
        assert status == 0, told
        assert ("notebook        4" if table == 6 else "notebook        8") in told


def test_a_failed_notebook_leaves_the_others_running_and_a_second_call_continues(tmp_path):
    books = {
        "00_data_prep": {"parameters": {"identities": 2}},
        "02_lora_sft": {"parameters": {"r": -1}},
    }
    settings = {"profile": "demo", "datasets": ["rstp"], "limit_ids": 4}
    study = tmp_path / "study"  # SWEEPS / its name is the path itself, since it is absolute

    def write():
        targets = {"data": list(books)}
        text = yaml.safe_dump({**settings, "notebooks": books, "targets": targets})
        study.with_suffix(".yaml").write_text(text)

    write()
    status, told = snakemake(tmp_path, "-k", "data", study=study)
    results = tmp_path / "results" / "demo"
    made = [str(path.relative_to(results)) for path in results.rglob("*.ipynb")]
    assert status != 0 and made == ["rstp-4ids/00_data_prep.ipynb"], told
    assert "sft.r = -1" in (results / "rstp-4ids" / "02_lora_sft.log").read_text()
    del books["02_lora_sft"]
    write()
    status, told = snakemake(tmp_path, "data", study=study)
    assert status == 0 and "Nothing to be done" in told, told
