"""The README's numbers are those of the committed run."""

import re
import subprocess

import pytest

from icl_lib import load_params
from icl_lib.cli.readme import cost_block, data_sets_block, put, results_block
from icl_lib.params.paths import repo_root


def test_the_readmes_numbers_are_those_of_the_committed_summary():
    command = ["git", "diff", "--quiet", "HEAD", "--", "results/demo/rstp/summary.json"]
    if subprocess.run(command, cwd=repo_root()).returncode:
        pytest.skip("summary.json is of a run of your own, or this is no git checkout")
    text, params = (repo_root() / "README.md").read_text(), load_params("rstp", "demo")
    assert put(text, "results", results_block(params)) == text
    assert put(text, "cost", cost_block(params)) == text
    assert put(text, "data sets", data_sets_block()) == text


def test_every_picture_and_file_that_the_readme_links_to_exists():
    links = re.findall(r"\]\(([^)#]+)\)", (repo_root() / "README.md").read_text())
    missing = [link for link in links if "://" not in link and not (repo_root() / link).exists()]
    assert links and not missing


def test_what_stands_between_two_marks_is_replaced():
    text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb"
    assert put(text, "x", "new\\1") == "a\n<!-- x:begin -->\nnew\\1\n<!-- x:end -->\nb"
    with pytest.raises(ValueError, match="x:begin"):
        put("nothing", "x", "new")
