"""In a real kernel, as papermill starts one: a figure shows once, and no path of this machine is told."""

import nbformat
from nbclient import NotebookClient
from PIL import Image

SHOW = """
import numpy as np, pandas as pd
from icl_lib import load_params
from icl_lib.figures import Dialogue, show
from icl_lib.figures.metrics import top1_similarity
show(top1_similarity(np.array([.1, .9]), np.array([False, True])), load_params(), "top1", alt="two queries")
"""
SHEET = """
from icl_lib.figures.pictures import gallery_rows
row = {"title": "before", "paths": ["no such picture"] * 3, "right": [True, False, False]}
show(gallery_rows("a caption", [row]), load_params(), "sheet", alt="three pictures")
"""


def test_show_in_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    cells = [nbformat.v4.new_code_cell(source) for source in (SHOW, "Dialogue('q', [], .5)", SHEET)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (picture,), (dialogue,), (sheet,) = (cell.outputs for cell in notebook.cells)
    assert "image/png" in picture["data"] and "text/html" in dialogue["data"]
    assert str(tmp_path) not in nbformat.writes(notebook)
    assert "image/jpeg" in sheet["data"] and "image/png" not in sheet["data"], (
        "pictures, in fewer bytes"
    )
    folder = tmp_path / "demo" / "rstp" / "figures"
    assert sorted(path.name for path in folder.iterdir()) == ["sheet.png", "top1.png"]
    with Image.open(folder / "sheet.png") as drawn:
        assert sheet["metadata"]["image/jpeg"] == {"width": drawn.width, "alt": "three pictures"}
