"""Packages, make, licence and citation: what is declared in several places agrees."""

import importlib.metadata
import os
import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import icl_lib
from icl_lib.params.paths import repo_root

ROOT = repo_root()
SWEEPS_LOCK = "params/sweeps/requirements.lock"
SEARCH_LOCK = "icl_lib/search/requirements.lock"
CONDA_NAMES = {"torch": "pytorch"}  # PyPI's name: conda-forge's
CONDA_ONLY = {"python", "pip", "setuptools"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = [
    Requirement(line)
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
]


def locked(name="requirements.lock"):
    """{canonical name: version} of every line of a lock."""
    lines = [
        line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")
    ]
    matches = [re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;@]+)", line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    return {canonicalize_name(match[1]): Version(match[2]) for match in matches}


def conda():
    """{name: version condition} of every line of environment.yml."""
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return dict(re.fullmatch(r"([a-z0-9_-]+)(.*)", line).groups() for line in lines)


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_the_lock_has_what_pyproject_asks_for(wanted):
    assert wanted.specifier.contains(locked()[canonicalize_name(wanted.name)])


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_environment_yml_has_what_pyproject_asks_for(wanted):
    name = CONDA_NAMES.get(wanted.name, str(canonicalize_name(wanted.name)))
    assert conda()[name] == str(wanted.specifier)


def test_environment_yml_has_nothing_else():
    names = {CONDA_NAMES.get(wanted.name, str(canonicalize_name(wanted.name))) for wanted in WANTED}
    assert set(conda()) == names | CONDA_ONLY
    assert conda()["python"] == PROJECT["requires-python"]
    assert yaml.safe_load((ROOT / "environment.yml").read_text())["channels"] == [
        "conda-forge",
        "nodefaults",
    ]


def unmet(names, versions):
    """What packages need and `versions` lacks; those installed in another version say nothing."""
    missing = []
    extras = {
        "cuda-toolkit": [
            "cublas",
            "cudart",
            "cufft",
            "cufile",
            "cupti",
            "cusolver",
            "cusparse",
            "nvjitlink",
            "nvrtc",
            "nvtx",
        ]
    }
    for name in names:
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if Version(installed.version) != versions[name]:
            continue
        for line in installed.requires or []:
            need = Requirement(line)
            if need.marker and not any(
                need.marker.evaluate({"extra": extra}) for extra in ["", *extras.get(name, [])]
            ):
                continue
            found = versions.get(canonicalize_name(need.name))
            if found is None or not need.specifier.contains(found, prereleases=True):
                missing.append(f"{name} needs {need.name}, the lock has {found}")
    return missing


def test_the_lock_has_every_dependency_of_its_packages():
    assert not unmet(locked(), locked())


@pytest.mark.parametrize(("extra", "lock"), [("sweeps", SWEEPS_LOCK), ("search", SEARCH_LOCK)])
def test_the_lock_of_an_extra_adds_to_the_kits_and_changes_nothing(extra, lock):
    added = locked(lock)
    assert not set(added) & set(locked())
    for line in PROJECT["optional-dependencies"][extra]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(added[canonicalize_name(wanted.name)])


def test_the_locks_of_both_extras_agree():
    sweeps, search = locked(SWEEPS_LOCK), locked(SEARCH_LOCK)
    assert all(sweeps[name] == search[name] for name in set(sweeps) & set(search))


def test_all_that_the_page_of_the_search_needs_is_locked_but_for_an_older_pillow():
    added = locked(SEARCH_LOCK)
    missing = unmet(added, locked() | added)
    assert set(missing) <= {f"gradio needs pillow, the lock has {locked()['pillow']}"}


def test_the_lock_names_no_host_and_no_local_file():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?:|file:|--index|--extra|--find| @ |\+", text)


def test_torch_and_its_gpu_packages_are_locked_together():
    assert {"torch", "torchvision", "triton", "nvidia-cublas"} <= set(locked())


def test_the_console_script_and_the_version_are_declared_once():
    scripts = {
        entry.name: entry.value for entry in importlib.metadata.distribution("icl_lib").entry_points
    }
    assert scripts["icl"] == PROJECT["scripts"]["icl"] == "icl_lib.cli.main:main"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert importlib.metadata.version("icl_lib") == icl_lib.__version__ == citation["version"]


def test_the_citation_names_the_paper_and_the_kit():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["authors"] == [{"name": "The ICL reproduction kit contributors"}]
    paper = citation["references"][0]
    names = [author["family-names"] for author in paper["authors"]]
    assert names == ["Qin", "Chen", "Fu", "Peng", "Peng", "Hu"]
    assert paper["title"].startswith("Human-centered Interactive Learning via MLLMs")
    assert paper["year"] == 2025
    assert "2506.11036" in paper["identifiers"][0]["value"]
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"


def test_the_licence_is_the_complete_text_of_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert (
        "Version 2.0, January 2004" in text
        and "END OF TERMS AND CONDITIONS" in text
        and len(text) > 11000
    )


def make(*arguments):
    """What make prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", *arguments],
        text=True,
        capture_output=True,
        check=True,
        env=clean,
    )
    return done.stdout


def test_make_alone_lists_the_targets():
    printed = make()
    assert printed == make("help")
    for target in ("demo", "lint", "test", "sweeps", "search", "notebook", "site", "clean"):
        assert f"make {target} " in printed


def test_make_demo_runs_notebooks_00_to_05_in_order():
    printed = make("-n", "demo")
    assert (
        "icl run 00_data_prep 01_rda 02_lora_sft 03_backbone 04_thi 05_failure_gallery "
        "-p dataset rstp -p profile demo"
    ) in printed


def test_make_notebook_passes_its_settings_on():
    assert "icl run 04_thi -p dataset rstp -p profile demo" in make(
        "-n", "notebook", "NB=04_thi", "DATASET=rstp", "PROFILE=demo"
    )


def test_make_test_lints_before_it_runs_pytest():
    printed = make("-n", "test")
    assert "ruff check ." in printed and "ruff format --check ." in printed
    assert printed.index("ruff format") < printed.index("/mypy") < printed.index("-m pytest")


def test_pre_commit_runs_make_lint_and_downloads_nothing():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repo,) = config["repos"]
    (hook,) = repo["hooks"]
    assert (repo["repo"], hook["language"], hook["entry"]) == ("local", "system", "make lint")


def test_a_finished_installation_is_left_alone(tmp_path):
    (tmp_path / ".venv").mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml", SWEEPS_LOCK, SEARCH_LOCK):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    fresh = make("-C", str(tmp_path), "-n", "test")
    for stamp in (".installed", ".sweeps", ".search"):
        (tmp_path / ".venv" / stamp).touch()
    again = make("-C", str(tmp_path), "-n", "test")
    os.utime(tmp_path / "requirements.lock", (2**31, 2**31))
    changed = make("-C", str(tmp_path), "-n", "test")
    assert "pip install" in fresh and "pip install" not in again and "pip install" in changed
    assert "-m pytest" in again


def test_ci_runs_what_the_readme_says():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK) and "make test" in script.read_text()
    assert "make test" in (ROOT / "README.md").read_text()
