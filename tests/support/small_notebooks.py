"""Small notebooks for tests of the `icl` command."""

import nbformat

HELLO = """from pathlib import Path
print("K is", repr(K), "on", dataset)
print("half", end="")
import sys; sys.stdout.flush(); print(" a line")
print("interpreter", sys.executable)
folder = Path(figures)
folder.mkdir(parents=True, exist_ok=True)
_ = (folder / "curve.png").write_bytes(b"png")"""


def write_notebook(path, *code, heading="# A small story", parameters=None):
    """Writes a notebook with a heading, a cell tagged `parameters` if given, and the code cells."""
    cells = [nbformat.v4.new_markdown_cell(heading + "\nand its text")]
    if parameters is not None:
        cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [nbformat.v4.new_code_cell(source) for source in code]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
