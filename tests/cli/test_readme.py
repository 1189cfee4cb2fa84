"""The numbers in README and pages are those of the committed runs."""

import re
import subprocess

import pytest

from icl_lib import load_params
from icl_lib.cli.readme import blocks, put
from icl_lib.params.paths import repo_root

TEXTS = [repo_root() / "README.md", *sorted((repo_root() / "notebooks" / "pages").glob("*.md"))]


def test_the_numbers_are_those_of_the_committed_results():
    command = ["git", "diff", "--quiet", "HEAD", "--", "results/demo"]
    if subprocess.run(command, cwd=repo_root()).returncode:
        pytest.skip("results/demo is of a run of your own, or this is no git checkout")
    for file, parts in blocks(load_params("rstp", "demo")).items():
        text = (repo_root() / file).read_text(encoding="utf-8")
        for name, block in parts.items():
            assert put(text, name, block) == text, f"run python -m icl_lib.cli.readme ({file})"


@pytest.mark.parametrize("file", TEXTS, ids=lambda path: path.name)
def test_every_picture_and_file_that_a_text_links_to_exists(file):
    links = re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (file.parent / link).exists()]
    assert not missing


def test_what_stands_between_two_marks_is_replaced():
    text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb"
    assert put(text, "x", "new\\1") == "a\n<!-- x:begin -->\nnew\\1\n<!-- x:end -->\nb"
    with pytest.raises(ValueError, match="x:begin"):
        put("nothing", "x", "new")
