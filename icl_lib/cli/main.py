"""The `icl` command: run notebooks, list them, search pictures, check and draw data sets."""

import time
from pathlib import Path

import click

# Whatever is slow to import (papermill, pandas, torch) is imported where it is used, so that
# `icl --help` is quick.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="icl_lib")
def app() -> None:
    """ICL for text-to-image person re-identification: notebooks and data."""


def parameter_options(command):
    """Gives a command papermill's options -p, -y and -f; see `icl_lib.cli.notebooks.merged`."""
    for name, long_name, metavar, nargs, help_text in (
        ("-f", "--parameters_file", "FILE", 1, "Set parameters from a YAML file."),
        ("-y", "--parameters_yaml", "YAML", 1, "Set parameters from YAML text."),
        ("-p", "--parameters", "NAME VALUE", 2, "Set a parameter."),
    ):
        command = click.option(
            name, long_name, nargs=nargs, multiple=True, metavar=metavar, help=help_text
        )(command)
    return command


@app.command(short_help="Execute notebooks with parameters.")
@click.argument("names", nargs=-1, required=True, metavar="NOTEBOOK...")
@parameter_options
def run(names, parameters, parameters_yaml, parameters_file) -> None:
    """Execute notebooks with papermill into results/<profile>/<dataset>/, and write HTML copies.

    NOTEBOOK is 04_thi, 04_thi.ipynb, the beginning of one name only (04), or a path. Several
    are executed one after another. -p, -y and -f work as they do in papermill. For example:

        icl run 04_thi -p dataset rstp -p K 3
    """
    from icl_lib.cli import notebooks
    from icl_lib.cli.ticker import Ticker, clock

    given = notebooks.merged(parameters_file, parameters_yaml, parameters)
    jobs = notebooks.plan([notebooks.find(name) for name in names], given)
    for job in jobs:
        start = time.time()
        click.echo(f"{job.path.stem}: {job.described()}")
        try:
            with Ticker(job.path.stem) as ticker:
                notebooks.execute(job, ticker)
        except notebooks.CellFailed as failure:
            click.echo(f"{failure}\nThe notebook up to this cell: {job.output}", err=True)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            click.echo(
                "stopped; what was finished is kept: run it again and it continues from there",
                err=True,
            )
            raise SystemExit(130) from None
        click.echo(f"{job.path.stem}: done in {clock(time.time() - start)}")
        click.echo(f"  notebook {job.output}\n  HTML     {notebooks.to_html(job.output)}")
        for figure in notebooks.figures_since(job.output.parent, start):
            click.echo(f"  figure   {figure}")


@app.command("list", short_help="List the notebooks and their parameters.")
def list_notebooks() -> None:
    """List the notebooks with their titles, and their parameters with the default values."""
    from icl_lib.cli import notebooks

    for path in notebooks.available():
        click.echo(f"{path.stem:24} {notebooks.title(path)}")
        for name, default in notebooks.parameters_of(path).items():
            click.echo(f"{'':26}-p {name} {default}")


@app.command(short_help="Search pictures for a person, in the browser or the terminal.")
@click.argument("source")
@parameter_options
@click.option("--text", help="Answer here, for this description, instead of opening the page.")
@click.option("--json", "as_json", is_flag=True, help="Print the answers to --text as JSON.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of pictures that --text shows.",
)
@click.option(
    "--ask",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Ask the MLLM about so many candidates of --text at most; 0 ranks by similarity.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=7860,
    show_default=True,
    help="Port of the page on this machine.",
)
def search(
    source, text, as_json, top, ask, port, parameters, parameters_yaml, parameters_file
) -> None:
    """Search SOURCE: a folder of pictures, or rstp, cuhk, icfg or ufine (the test split).

    Pictures are encoded on the first call and kept; later calls encode what is new. -p, -y and -f
    set parameters as in `icl run`; `dataset` says whose training is used. For example:

        icl search my_pictures

        icl search rstp --text "a man in a red coat" --ask 5 --json
    """
    from icl_lib.cli import notebooks

    if text is None and as_json:
        raise ValueError("--json prints the answers to a text: add --text TEXT")
    if text is not None and not text.strip():
        raise ValueError("--text is empty: describe the person in a few words")
    given = notebooks.merged(parameters_file, parameters_yaml, parameters)

    from icl_lib.cli import search as terminal  # slow: it loads torch

    where = terminal.source_of(source)
    page = None if text is not None else _page()
    try:
        searcher = terminal.opened(where, given)
        for remark in terminal.remarks(searcher):
            click.echo(remark, err=True)
        if page:
            page.serve(searcher, port)
            return
        found = terminal.answers(searcher, text, top, ask)
    except KeyboardInterrupt:
        click.echo("stopped; pictures encoded so far are kept", err=True)
        raise SystemExit(130) from None
    except ConnectionError as error:  # the server worked a moment ago
        click.echo(f"icl: {error}\nWithout --ask, similarity alone ranks.", err=True)
        raise SystemExit(1) from None
    click.echo(terminal.as_json(found) if as_json else terminal.as_table(found))


def _page():
    """The page's module. Raises ValueError if gradio is not installed."""
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ValueError(
            "the page needs gradio: pip install 'icl_lib[search]' (with the kit's own versions: "
            "make search). Without it, --text answers in the terminal."
        ) from None
    from icl_lib.search import page

    return page


@app.group("data")
def data_group() -> None:
    """Check a benchmark's files, or draw a stand-in for them."""


@data_group.command("check", short_help="Compare a data set's files with what was published.")
@click.argument("name")
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Fail if a record must be skipped, and name it.")
@click.option("--pictures", is_flag=True, help="Decode every picture, not only its header and end.")
@click.option("--annotation", help="Another annotation file in the folder: caption_all.json.")
def check_data(name, root, strict, pictures, annotation) -> None:
    """Print counts, skipped records, duplicates, caption lengths and picture sizes of a data set.

    NAME is cuhk, icfg, rstp or ufine, and ROOT is the benchmark's folder or the folder above it. Or
    NAME is folder, and ROOT holds pictures of your own, with or without captions.csv.
    """
    import warnings

    from icl_lib.data import check, read_benchmark, read_folder
    from icl_lib.data.benchmarks import short_name

    own = name == "folder"
    if own and annotation:
        raise ValueError(
            "--annotation is for a benchmark; a folder of your own has at most a captions.csv"
        )
    benchmark = None if own else short_name(name)
    with warnings.catch_warnings(action="ignore"):  # what is printed below says the same, and more
        if own:
            manifest = read_folder(root, strict=strict, check_pictures=pictures)
        else:
            manifest = read_benchmark(benchmark, root, strict, pictures, annotation)
    click.echo(check(manifest, benchmark).to_string(index=False, max_colwidth=200))
    shown, skipped = manifest.attrs["problems"][:10], sum(manifest.attrs["report"].values())
    for message in shown:
        click.echo(f"skipped: {message}")
    # A missing folder has one line, however many records it has.
    folders = len(manifest.attrs["missing_folders"])
    lines = folders + skipped - manifest.attrs["report"]["missing_folder"]
    if lines > len(shown):
        click.echo(f"  … and {lines - len(shown)} more")
    read = int((manifest["caption_id"] >= 0).sum())
    click.echo(f"{manifest.attrs['root']}: {read} captions read, {skipped} skips of any kind")


@data_group.command("standin", short_help="Draw a stand-in in a benchmark's own file layout.")
@click.argument("name")
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--identities",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Number of people drawn, all splits together.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed draws the same people.",
)
def draw_standin(name, root, identities, seed) -> None:
    """Draw a stand-in for benchmark NAME (cuhk, icfg, rstp, ufine), in its layout, in ROOT."""
    from icl_lib.data.standin import make_standin
    from icl_lib.params import load_params

    params = load_params(name)  # refuses an unknown name
    make_standin(params.dataset, root, identities=identities, seed=seed)
    click.echo(f"drew {params.data.title} in {root}; look at it with: icl data check {name} {root}")


@app.command(short_help="Train the small models of the demo.")
@click.argument("name", type=click.Choice(["clip", "qwen2vl", "all", "reid"]))
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of drawn pictures, states and logs.  [default: results/pretrain]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Model NAME is written to OUT/NAME.  [default: as --work]",
)
def pretrain(name, work, out) -> None:
    """Train small model NAME: clip, qwen2vl (all is both) or reid.

    clip and qwen2vl are trained from nothing, exactly as the shipped ones were. Both together take
    about two hours on two cores, minutes on a GPU. reid trains the shipped CLIP further on
    surveillance pictures of people, a ReID-domain pre-training for notebook 08. A run that was
    stopped continues where it stopped when the same command is given again.
    """
    from icl_lib.params.paths import repo_root
    from icl_lib.pretrain import recipe

    work = work or repo_root() / "results" / "pretrain"
    for one in recipe.SHIPPED if name == "all" else [name]:
        folder = (out or work) / one
        recipe.pretrain(one, work, folder)
        click.echo(f"{recipe.TITLES[one]}: {folder}")


def main() -> None:
    """Entry point of the console script."""
    guarded(app)


def guarded(command: click.Command) -> None:
    """Runs a command; bad input ends in one paragraph and exit code 2 instead of a traceback."""
    try:
        command()
    except (ValueError, FileNotFoundError) as error:
        click.echo(f"icl: {error}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
