"""Gathers the sources of the report site: `python -m icl_lib.cli.site FOLDER`, see `make site`."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
from nbformat.v4 import new_markdown_cell

from icl_lib.analysis.paper import paper_results
from icl_lib.figures import stored_table
from icl_lib.params import Params, load_params
from icl_lib.params.paths import available, repo_root
from icl_lib.retrieval.metrics import LABELS


def gather(folder: Path, profile: str = "demo") -> None:
    """Copies notebooks and pages into `folder`, and writes a page per data set and the claims.

    Figures of a data set come along, and so do notebooks that were executed on it. Solutions are
    folded under the exercises of their notebook. `folder` is emptied first.

    Raises:
        ValueError: `folder` holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "conf.py").is_file():
        raise ValueError(f"{folder} holds something that this command did not write: empty it")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(repo_root() / "notebooks", folder, ignore=shutil.ignore_patterns(".*"))
    shutil.move(folder / "pages" / "conf.py", folder / "conf.py")
    for solutions in sorted((folder / "solutions").glob("*.ipynb")):
        fold(solutions, folder / solutions.name)
    shutil.rmtree(folder / "solutions")
    pages = folder / "results"
    pages.mkdir()
    for dataset in available("datasets"):
        params = load_params(dataset, profile)
        (pages / f"{dataset}.md").write_text(data_set_page(params, pages), encoding="utf-8")
    (pages / "claims.md").write_text(claims_page(load_params("rstp", profile)), encoding="utf-8")


def fold(solutions: Path, notebook: Path) -> None:
    """Appends a notebook of solutions to its notebook, each exercise in a block that unfolds.

    The blocks are plain HTML, which needs no script. Headings inside them would begin a new section
    of the page and so break the block; the heading of each exercise becomes the block's summary.
    """
    title, *cells = json.loads(solutions.read_text(encoding="utf-8"))["cells"]
    begin = "<details><summary>{}</summary>\n\n"
    intro = "".join(title["source"]).partition("\n\n")[2]
    folded = [new_markdown_cell("### Solutions\n\n" + intro + "\n\n" + begin.format("Preparation"))]
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and text.startswith("## "):
            heading, _, rest = text.removeprefix("## ").partition("\n\n")
            cell = new_markdown_cell("</details>\n\n" + begin.format(heading) + rest)
        folded.append(cell)
    folded.append(new_markdown_cell("</details>"))
    book = json.loads(notebook.read_text(encoding="utf-8"))
    book["cells"] += json.loads(json.dumps(folded).replace("](../", "]("))
    text = json.dumps(book, ensure_ascii=False)
    text = text.replace(f"](solutions/{notebook.name})", "](#solutions)")
    notebook.write_text(text, encoding="utf-8")


def data_set_page(params: Params, pages: Path) -> str:
    """A data set's results beside the paper's, and its executed notebooks and figures as links."""
    title, parts = params.data.title, []
    kind = f"drawn stand-in, profile {params.profile}" if params.data.standin else params.profile
    table = stored_table(params, "08_main", ["method", "metric"])
    if table is None:
        return f"# {title}\n\nNo results are stored yet: notebook 08 says how to make them.\n"
    ours = []
    for name, rows in table.groupby(level="method", sort=False):
        ours.append(
            [name, *(f"{r.percent:.1f} ({r.low:.1f}–{r.high:.1f})" for r in rows.itertuples())]
        )
    parts.append(
        f"# {title}\n\nThe {kind}, on average over {table['seeds'].iloc[0]} trainings, in "
    )
    parts.append(
        "percent, with 95% intervals over people.\n\n" + markdown(["", *LABELS.values()], ours)
    )
    theirs = paper_results(params.dataset).round(2)
    rows = [
        [name, *("–" if pd.isna(v) else f"{v:.2f}" for v in r)] for name, *r in theirs.itertuples()
    ]
    parts.append(
        "\n## The paper, on the real benchmark\n\n" + markdown(["", *LABELS.values()], rows)
    )
    links = []
    for notebook in sorted(params.results_dir.glob("[01]*.ipynb")):
        copied = pages / params.dataset / notebook.name
        copied.parent.mkdir(exist_ok=True)
        text = notebook.read_text(encoding="utf-8")  # its links lead from notebooks/
        text = text.replace("](solutions/", "](../../").replace("](pages/", "](../../pages/")
        copied.write_text(text, encoding="utf-8")
        links.append(f"{params.dataset}/{notebook.stem}")
    if links:
        parts.append("\n## Notebooks executed on it\n\n```{toctree}\n:maxdepth: 1\n")
        parts.append("\n".join(links) + "\n```\n")
    figures = params.results_dir / "figures"
    if figures.is_dir():
        shutil.copytree(figures, pages / params.dataset / "figures", dirs_exist_ok=True)
        shown = sorted(figures.glob("0[45]*.png"))
        parts.append("\n## Figures\n\n" if shown else "")
        parts += [f"![{f.stem}]({params.dataset}/figures/{f.name})\n\n" for f in shown]
    return "".join(parts)


def claims_page(params: Params) -> str:
    """The paper's qualitative claims with the demo's verdicts, from notebook 04."""
    table = stored_table(params, "04_claims", "claim")
    text = "# The paper's claims\n\nEach claim of the paper, judged on the demo's stand-in of "
    text += f"{params.data.title} (notebook 04, last section, says how).\n\n"
    if table is None:
        return text + "No verdicts are stored yet: notebook 04 says how to make them.\n"
    shown = table.drop(columns="evidence").round(3).astype(str)
    rows = [[claim, *row] for claim, *row in shown.itertuples()]
    return text + markdown(["claim", *shown.columns], rows)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
