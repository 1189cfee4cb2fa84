"""Finding, checking and executing the kit's notebooks: what `icl run` and `icl list` stand on."""

import ast
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from icl_lib.cli.ticker import Ticker
from icl_lib.params import load
from icl_lib.params import names as names_params
from icl_lib.params import paths as paths_params
from icl_lib.results import atomic_write

LAST_LINES = 25  # of a failed cell's error
START_SECONDS = 300  # that a kernel may take to answer, on a machine that is busy with other things


class CellFailed(Exception):
    """A cell of an executed notebook raised; the text is the error's end."""


@dataclass(frozen=True)
class Job:
    """One notebook to execute: where it is, what it is given, where the executed copy goes."""

    path: Path
    given: dict[str, Any]
    output: Path

    def described(self) -> str:
        """What was asked for, on one line."""
        return (
            " ".join(f"{name}={value}" for name, value in self.given.items()) or "with its defaults"
        )


def available() -> list[Path]:
    """The kit's notebooks, in order."""
    return sorted((paths_params.repo_root() / "notebooks").glob("*.ipynb"))


def find(name: str) -> Path:
    """The notebook meant by `name`: a path, 04_thi, 04_thi.ipynb, or the beginning of one name only.

    Raises ValueError with the nearest valid name.
    """
    if Path(name).suffix == ".ipynb" and Path(name).is_file():
        return Path(name).resolve()
    books = {path.stem: path for path in available()}
    stem = Path(name).name.removesuffix(".ipynb")
    fits = (
        [stem] if stem in books else [known for known in books if stem and known.startswith(stem)]
    )
    if len(fits) == 1:
        return books[fits[0]]
    valid = f"Valid: {', '.join(books) or 'none, notebooks/ is empty'}."
    if fits:
        raise ValueError(
            f"{name!r} begins {len(fits)} notebooks: {', '.join(fits)}. Give more of the name."
        )
    close = names_params.nearest(stem, books)
    raise ValueError(
        f"no notebook {name!r}{f': did you mean {close!r}?' if close else '.'} {valid}"
    )


def title(path: Path) -> str:
    """The notebook's first heading."""
    import nbformat

    texts = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    headings = [line for text in texts for line in text.splitlines() if line.startswith("#")]
    return headings[0].lstrip("# ") if headings else "(no title)"


def parameters_of(path: Path) -> dict[str, str]:
    """Names in the notebook's cell tagged `parameters`, with the defaults as written there."""
    import logging

    from papermill import inspect_notebook

    logging.getLogger("papermill").setLevel(logging.WARNING)
    return {name: str(told["default"]) for name, told in inspect_notebook(str(path)).items()}


def infer_type(text: str) -> Any:
    """The value papermill makes of `-p name text`: True, False, None, an int, a float, else the text."""
    if text in ("True", "False", "None"):
        return ast.literal_eval(text)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def merge_parameters(
    files: Iterable[str], texts: Iterable[str], pairs: Iterable[tuple[str, str]]
) -> dict:
    """Parameters from YAML files, YAML texts and name–value pairs; later ones win, as with papermill."""
    from papermill.iorw import NoDatesSafeLoader  # dates stay text

    merged: dict[str, Any] = {}
    for source in [*map(Path, files), *texts]:
        if isinstance(source, Path) and not source.is_file():
            raise FileNotFoundError(
                f"no parameter file {source}. -f takes the path of a YAML file."
            )
        try:
            text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
            content = yaml.load(text, Loader=NoDatesSafeLoader) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{source} is not readable as YAML: {error}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{source} should hold `name: value`, not {type(content).__name__}.")
        merged |= content
    return merged | {name: infer_type(value) for name, value in pairs}


def plan(paths: list[Path], given: dict[str, Any]) -> list[Job]:
    """One `Job` a notebook. Each gets those of `given` that it has; what none of them has is refused.

    Values of settings are checked here too, so that a typing error does not cost a run.
    """
    known = {path: parameters_of(path) for path in paths}
    every = sorted({name for names in known.values() for name in names})
    for name in given:
        if name not in every:
            close = names_params.nearest(name, every)
            hint = f": did you mean {close!r}?" if close else "."
            books, valid = ", ".join(path.stem for path in paths), ", ".join(every) or "none"
            raise ValueError(f"unknown parameter {name!r} for {books}{hint} Valid: {valid}.")
    jobs = []
    for path, names in known.items():
        mine = {name: value for name, value in given.items() if name in names}
        used = {name: mine.get(name, _literal(default)) for name, default in names.items()}
        fields = load.unique_fields() - {"dataset", "profile"}
        where = {name: used[name] for name in ("dataset", "profile") if name in used}
        params = load.load_params(**where, **{name: mine[name] for name in mine if name in fields})
        folder = params.results_dir if "dataset" in used else params.results_dir.parent
        jobs.append(Job(path, mine, folder / path.name))
    return jobs


def execute(job: Job, ticker: "Ticker") -> None:
    """Runs the notebook by papermill in this interpreter's own environment. Raises CellFailed."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError, strip_color

    class WatchedEngine(NBClientEngine):
        """papermill's own engine, telling the ticker which cell it is at."""

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            code = [i for i, cell in enumerate(nb_man.nb.cells) if cell.cell_type == "code"]
            begin = nb_man.cell_start

            def cell_start(cell, cell_index=None, **rest):
                ticker.at(max(1, sum(i <= cell_index for i in code)), len(code))
                return begin(cell, cell_index, **rest)

            nb_man.cell_start = cell_start
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("icl", WatchedEngine)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with own_kernel() as kernel:
            papermill.execute_notebook(
                str(job.path),
                str(job.output),
                parameters=job.given,
                engine_name="icl",
                kernel_name=kernel,
                progress_bar=False,
                stdout_file=ticker,
                start_timeout=START_SECONDS,
            )
    except PapermillExecutionError as error:
        lines = strip_color(
            "\n".join(error.traceback) or f"{error.ename}: {error.evalue}"
        ).splitlines()
        raise CellFailed(
            "\n".join(
                [f"{job.path.stem}: cell In [{error.exec_count}] failed:", *lines[-LAST_LINES:]]
            )
        ) from None
    except DeadKernelError:
        told = f"{job.path.stem}: the kernel died at {ticker.place}, perhaps for want of memory."
        raise CellFailed(
            f"{told} What was finished is kept: run it again, it goes on from there."
        ) from None


@contextmanager
def own_kernel() -> Iterator[str]:
    """Name of a kernel that is this very interpreter, whatever other `python3` kernels are installed."""
    from ipykernel.kernelspec import write_kernel_spec

    before = os.environ.get("JUPYTER_PATH")
    with tempfile.TemporaryDirectory(prefix="icl-kernel-") as folder:
        # Quiet: a kernel warns that its sockets, on this machine alone, are plain; stopped, it complains.
        write_kernel_spec(
            os.path.join(folder, "kernels", "python3"), extra_arguments=["--log-level=50"]
        )
        os.environ["JUPYTER_PATH"] = os.pathsep.join([folder, before] if before else [folder])
        try:
            yield "python3"
        finally:
            os.environ.pop("JUPYTER_PATH")
            if before:
                os.environ["JUPYTER_PATH"] = before


def to_html(notebook: Path) -> Path:
    """Writes the executed notebook as HTML beside it."""
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter().from_filename(str(notebook))
    return atomic_write(notebook.with_suffix(".html"), body)


def figures_since(folder: Path, start: float) -> list[Path]:
    """PNG files in <folder>/figures written at or after `start` (seconds since 1970)."""
    # Some file systems keep whole seconds only.
    return sorted(
        path for path in (folder / "figures").glob("*.png") if path.stat().st_mtime >= int(start)
    )


def _literal(source: str) -> Any:
    try:
        return ast.literal_eval(source)
    except (ValueError, SyntaxError):
        return source
