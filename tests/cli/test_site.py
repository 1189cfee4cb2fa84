"""The report site's sources: contents, tables, folded solutions, and the glossary's words."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from icl_lib import load_params
from icl_lib.cli import notebooks, site
from icl_lib.figures import save_table
from icl_lib.params.paths import repo_root
from icl_lib.retrieval.metrics import NAMES


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Results of two methods on rstp, and none of the other data sets."""
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    params = load_params("rstp", "demo")
    index = pd.MultiIndex.from_product([["RDE", "ICL"], NAMES], names=["method", "metric"])
    percent = np.arange(50.0, 60)
    table = pd.DataFrame({"percent": percent, "low": percent - 1, "high": percent + 1}, index)
    save_table(table.assign(seeds=3), params, "08_main")
    (params.results_dir / "figures").mkdir()
    (params.results_dir / "figures" / "04_cost.png").write_bytes(b"png")
    links = "[s](solutions/04_thi.ipynb), [g](pages/glossary.md)"
    (params.results_dir / "04_thi.ipynb").write_text(json.dumps({"cells": [{"source": links}]}))
    return params


def test_the_contents_list_every_notebook_and_page(tmp_path, stored):
    site.gather(tmp_path / "site")
    text = (repo_root() / "notebooks" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^([\w/]+)$", text, re.M)
    files = [p for p in (tmp_path / "site").rglob("*") if p.suffix in (".md", ".ipynb")]
    own = {str(p.relative_to(tmp_path / "site").with_suffix("")) for p in files}
    assert len(listed) == len(set(listed))
    assert set(listed) == own - {"index", "results/rstp/04_thi"}
    assert {path.stem for path in notebooks.available()} <= set(listed)


def test_a_data_sets_page_has_its_table_its_notebooks_and_its_figures(tmp_path, stored):
    site.gather(tmp_path / "site")
    page = (tmp_path / "site" / "results" / "rstp.md").read_text(encoding="utf-8")
    assert "| ICL | 55.0 (54.0–56.0) | 56.0 (55.0–57.0) |" in page
    assert "over 3 trainings" in page and "| ICL+THI | 70.55 |" in page
    assert "rstp/04_thi\n" in page and "(rstp/figures/04_cost.png)" in page
    for file in ("04_thi.ipynb", "figures/04_cost.png"):
        assert (tmp_path / "site" / "results" / "rstp" / file).is_file()
    copied = (tmp_path / "site" / "results" / "rstp" / "04_thi.ipynb").read_text(encoding="utf-8")
    assert "[s](../../04_thi.ipynb), [g](../../pages/glossary.md)" in copied
    empty = (tmp_path / "site" / "results" / "cuhk.md").read_text(encoding="utf-8")
    assert "notebook 08 says how" in empty


def test_gathering_again_leaves_nothing_old(tmp_path, stored):
    site.gather(tmp_path / "site")
    (tmp_path / "site" / "old.md").write_text("old")
    site.gather(tmp_path / "site")
    assert not (tmp_path / "site" / "old.md").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="empty it"):
        site.gather(tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("path", notebooks.available()[:8], ids=lambda path: path.stem)
def test_every_exercise_has_a_solution_which_the_site_folds_under_it(tmp_path, stored, path):
    asked = sources(path)[-1].partition("## Exercises")[2]
    exercises = re.findall(r"^(\d)\. ", asked, re.M)
    assert exercises and f"[solutions](solutions/{path.name})" in asked
    solved = sources(path.parent / "solutions" / path.name)
    headings = [re.match(r"## (\d)\. .+\n\n> ", text) for text in solved if text[:3] == "## "]
    assert [heading and heading[1] for heading in headings] == exercises
    site.gather(tmp_path / "site")
    assert not (tmp_path / "site" / "solutions").exists()
    shown = "".join(sources(tmp_path / "site" / path.name)).partition("## Exercises")[2]
    assert "[solutions](#solutions)" in shown and "](../" not in shown
    blocks = re.findall(r"<details><summary>(\w+)[^<]*</summary>\n\n(.*?)</details>", shown, re.S)
    assert [name for name, _ in blocks] == ["Preparation", *exercises]
    assert shown.count("<details>") == len(blocks)


@pytest.mark.parametrize("path", notebooks.available()[:11], ids=lambda path: path.stem)
def test_the_glossary_has_the_words_that_a_notebook_names(path):
    glossary = (path.parent / "pages" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\| (.+?) \|", glossary, re.M)[1:]
    assert len(terms) == len(set(terms))
    named = re.search(r"ords in the \[glossary\]\(pages/glossary\.md\): (.+)\.\*", sources(path)[0])
    assert named and set(named[1].split(", ")) <= set(terms)


def sources(path):
    """The text of each cell of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells]
