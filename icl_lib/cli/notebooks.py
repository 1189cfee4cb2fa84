"""Finding, checking and executing the kit's notebooks, for `icl run` and `icl list`."""

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
from icl_lib.params import load_params
from icl_lib.params.load import unique_fields
from icl_lib.params.names import did_you_mean
from icl_lib.params.paths import repo_root
from icl_lib.results import atomic_write

LAST_LINES = 25  # of a failed cell's traceback are shown
START_SECONDS = 300  # a kernel may take this long to start on a busy machine


class CellFailed(Exception):
    """A cell of an executed notebook failed; the message is the end of its traceback."""


@dataclass(frozen=True)
class Job:
    """One notebook to execute."""

    path: Path
    given: dict[str, Any]  # parameters
    output: Path  # where the executed copy goes

    def described(self) -> str:
        """The parameters on one line."""
        pairs = [f"{name}={value}" for name, value in self.given.items()]
        return " ".join(pairs) or "with its defaults"


def available() -> list[Path]:
    """The kit's notebooks, in order."""
    return sorted((repo_root() / "notebooks").glob("*.ipynb"))


def find(name: str) -> Path:
    """The notebook that `name` means: a path, 04_thi, 04_thi.ipynb, or the beginning of one name.

    Raises ValueError, with the nearest valid name, if there is none or more than one.
    """
    if Path(name).suffix == ".ipynb" and Path(name).is_file():
        return Path(name).resolve()
    books = {path.stem: path for path in available()}
    stem = Path(name).name.removesuffix(".ipynb")
    fits = [stem] if stem in books else [book for book in books if stem and book.startswith(stem)]
    if len(fits) == 1:
        return books[fits[0]]
    if fits:
        raise ValueError(
            f"{name!r} begins {len(fits)} notebooks: {', '.join(fits)}. Give more of the name."
        )
    hint, valid = did_you_mean(stem, books) or ".", ", ".join(books) or "none, notebooks/ is empty"
    raise ValueError(f"no notebook {name!r}{hint} Valid: {valid}.")


def title(path: Path) -> str:
    """The notebook's first heading."""
    import nbformat

    texts = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    headings = [line for text in texts for line in text.splitlines() if line.startswith("#")]
    return headings[0].lstrip("# ") if headings else "(no title)"


def parameters_of(path: Path) -> dict[str, str]:
    """The names in the notebook's cell tagged `parameters`, with the source of their defaults."""
    import logging

    from papermill import inspect_notebook

    logging.getLogger("papermill").setLevel(logging.WARNING)
    return {name: str(found["default"]) for name, found in inspect_notebook(str(path)).items()}


def infer_type(text: str) -> Any:
    """The value that papermill reads in `-p name text`: True, False, None, int, float or text."""
    if text in ("True", "False", "None"):
        return ast.literal_eval(text)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def merged(
    files: Iterable[str], texts: Iterable[str], pairs: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """Parameters from YAML files, YAML texts and pairs of name and value; later ones win."""
    from papermill.iorw import NoDatesSafeLoader  # keeps dates as text

    parameters: dict[str, Any] = {}
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
        parameters |= content
    return parameters | {name: infer_type(value) for name, value in pairs}


def plan(paths: list[Path], given: dict[str, Any]) -> list[Job]:
    """One job for each notebook, which gets those of the parameters that it has.

    Names and values are checked here, so that a typing error is found before anything runs. Raises
    ValueError for a name that none of the notebooks has, and for a setting with a wrong value.
    """
    defaults = {path: parameters_of(path) for path in paths}
    every = sorted({name for names in defaults.values() for name in names})
    for name in given:
        if name not in every:
            books, valid = ", ".join(path.stem for path in paths), ", ".join(every) or "none"
            hint = did_you_mean(name, every) or "."
            raise ValueError(f"unknown parameter {name!r} for {books}{hint} Valid: {valid}.")
    settings, jobs = unique_fields() | {"dataset", "profile"}, []
    for path, names in defaults.items():
        own = {name: value for name, value in given.items() if name in names}
        keys = {"dataset", "profile", "limit_ids"} & set(names)  # they name the folder of results
        of_run = {key: infer_type(names[key].strip("'\"")) for key in keys}
        params = load_params(**of_run | {name: own[name] for name in own if name in settings})
        folder = params.results_dir if "dataset" in names else params.results_dir.parent
        jobs.append(Job(path, own, folder / path.name))
    return jobs


def execute(job: Job, ticker: Ticker) -> None:
    """Runs a notebook with papermill and this interpreter's own environment. Raises CellFailed."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError, strip_color

    class WatchedEngine(NBClientEngine):
        """papermill's own engine, which tells the ticker which cell it runs."""

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
        report = strip_color("\n".join(error.traceback) or f"{error.ename}: {error.evalue}")
        end = "\n".join(report.splitlines()[-LAST_LINES:])
        raise CellFailed(f"{job.path.stem}: cell In [{error.exec_count}] failed:\n{end}") from None
    except DeadKernelError:
        raise CellFailed(
            f"{job.path.stem}: the kernel died at {ticker.place}, perhaps for lack of memory. What "
            "was finished is kept: run it again and it continues from there."
        ) from None


@contextmanager
def own_kernel() -> Iterator[str]:
    """The name of a kernel that is this interpreter, whatever `python3` kernels are installed."""
    from ipykernel.kernelspec import write_kernel_spec

    before = os.environ.get("JUPYTER_PATH")
    with tempfile.TemporaryDirectory(prefix="icl-kernel-") as folder:
        # The log level hides a kernel's warnings about local sockets and about being stopped.
        spec = os.path.join(folder, "kernels", "python3")
        write_kernel_spec(spec, extra_arguments=["--log-level=50"])
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, before]))
        try:
            yield "python3"
        finally:
            os.environ.pop("JUPYTER_PATH")
            if before:
                os.environ["JUPYTER_PATH"] = before


def to_html(notebook: Path) -> Path:
    """Writes the executed notebook as HTML next to it."""
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter().from_filename(str(notebook))
    return atomic_write(notebook.with_suffix(".html"), body)


def figures_since(folder: Path, start: float) -> list[Path]:
    """PNG files in <folder>/figures written at or after `start` (seconds since 1970)."""
    # Some file systems store whole seconds only.
    files = (folder / "figures").glob("*.png")
    return sorted(path for path in files if path.stat().st_mtime >= int(start))
