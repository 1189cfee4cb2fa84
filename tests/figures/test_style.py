"""Figures are saved, stamped and shown once; nothing leaks into the caller's matplotlib."""

import io

import matplotlib
import nbformat
import numpy as np
from nbclient import NotebookClient
from PIL import Image

from icl_lib import load_params
from icl_lib.figures import histograms, show
from icl_lib.figures.style import WIDTH, fixed_range, stamp, styled, widened

SHOW = """
import numpy as np, pandas as pd
from icl_lib import load_params
from icl_lib.figures import Dialogue, show
from icl_lib.figures.histograms import shares
show(shares({"two": [.1, .9]}, "P(Yes)"), load_params(), "two", alt="two queries")
"""
SHEET = """
from icl_lib.figures.pictures import rankings
gallery = pd.DataFrame({"path": ["no such picture"] * 3, "pid": [1, 2, 3]})
figure = rankings("a caption", {"before": np.arange(3)}, gallery, 1)
show(figure, load_params(), "sheet", alt="three pictures")
"""


def test_a_figure_shows_once_in_a_kernel_and_reveals_no_path(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    cells = [nbformat.v4.new_code_cell(source) for source in (SHOW, "Dialogue('q', [], .5)", SHEET)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (picture,), (dialogue,), (sheet,) = (cell.outputs for cell in notebook.cells)
    assert "image/png" in picture["data"]
    assert "text/html" in dialogue["data"]
    assert str(tmp_path) not in nbformat.writes(notebook)
    assert "image/jpeg" in sheet["data"], "pictures, in fewer bytes"
    assert "image/png" not in sheet["data"]
    folder = tmp_path / "demo" / "rstp" / "figures"
    assert sorted(path.name for path in folder.iterdir()) == ["sheet.png", "two.png"]
    with Image.open(folder / "sheet.png") as drawn:
        assert sheet["metadata"]["image/jpeg"] == {"width": drawn.width, "alt": "three pictures"}


def test_a_saved_figure_is_stamped_and_the_same_every_time(tmp_path, monkeypatch, texts):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    params = load_params("rstp", "demo", seed=3)
    figure = histograms.shares({"a": np.arange(9)}, "values")
    show(figure, params, "shares")
    assert stamp(params) == "profile demo · RSTPReid, stand-in · seed 3"
    assert stamp(params) in texts(figure)
    path = tmp_path / "demo/rstp/figures/shares.png"
    first = path.read_bytes()
    show(histograms.shares({"a": np.arange(9)}, "values"), params, "shares")
    assert path.read_bytes() == first
    assert Image.open(io.BytesIO(first)).width == round(WIDTH * 110)
    assert "stand-in" not in stamp(load_params("rstp", "paper"))


def test_the_style_leaves_the_callers_settings_alone():
    before = dict(matplotlib.rcParams)

    @styled
    def inside():
        return matplotlib.rcParams["axes.spines.top"]

    assert inside() is False
    assert dict(matplotlib.rcParams) == before


def test_a_fixed_range_depends_on_the_starts_alone():
    assert fixed_range(52.6) == fixed_range(54.9) == (40, 70)
    assert fixed_range(3) == (0, 20)
    assert fixed_range(95) == (85, 100)
    assert fixed_range(68, 52) == (40, 85), "all curves are within"


def test_a_range_grows_in_steps_and_only_where_something_would_be_cut():
    assert widened((40, 70), [40, 55, np.nan], np.full((2, 2), 70.0)) == (40, 70)
    assert widened((40, 70), [39.9, 60]) == (35, 70)
    assert widened((-3, 3), [0.5], [4.2, -3], step=1) == (-3, 5)
    assert widened((-5, 20), [np.nan]) == (-5, 20)
