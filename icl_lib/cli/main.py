"""The `icl` command: run notebooks with parameters, list them, check a data set, draw a stand-in."""

import time
from pathlib import Path

import click

# Everything heavier (papermill, pandas, torch) is imported where it is used, so that `icl --help` is quick.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="icl_lib")
def app() -> None:
    """ICL for text-to-image person re-identification: notebooks and data."""


@app.command(short_help="Execute notebooks with parameters.")
@click.argument("notebooks", nargs=-1, required=True, metavar="NOTEBOOK...")
@click.option(
    "-p", "--parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter."
)
@click.option(
    "-y",
    "--parameters_yaml",
    "yaml_texts",
    multiple=True,
    metavar="YAML",
    help="Set parameters from a piece of YAML.",
)
@click.option(
    "-f",
    "--parameters_file",
    "yaml_files",
    multiple=True,
    metavar="FILE",
    help="Set parameters from a YAML file.",
)
def run(notebooks, parameters, yaml_texts, yaml_files) -> None:
    """Execute notebooks by papermill into results/<profile>/<dataset>/, with an HTML copy of each.

    NOTEBOOK is 04_thi, 04_thi.ipynb, the beginning of one name only (04), or a path; several run one after
    another. -p, -y and -f mean what they mean to papermill. For example:

        icl run 04_thi -p dataset rstp -p K 3
    """
    from icl_lib.cli import notebooks as notebooks_cli
    from icl_lib.cli import ticker as ticker_cli

    given = notebooks_cli.merge_parameters(yaml_files, yaml_texts, parameters)
    jobs = notebooks_cli.plan(
        [notebooks_cli.find(name) for name in notebooks], given
    )  # refuses before anything runs
    for job in jobs:
        start = time.time()
        click.echo(f"{job.path.stem}: {job.described()}")
        try:
            with ticker_cli.Ticker(job.path.stem) as ticker:
                notebooks_cli.execute(job, ticker)
        except notebooks_cli.CellFailed as failure:
            click.echo(f"{failure}\nThe notebook up to there: {job.output}", err=True)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            click.echo(
                "stopped; what was finished is kept: run it again, it goes on from there", err=True
            )
            raise SystemExit(130) from None
        click.echo(f"{job.path.stem}: done in {ticker_cli.clock(time.time() - start)}")
        click.echo(f"  notebook {job.output}\n  HTML     {notebooks_cli.to_html(job.output)}")
        for figure in notebooks_cli.figures_since(job.output.parent, start):
            click.echo(f"  figure   {figure}")


@app.command("list", short_help="Notebooks, their titles and parameters.")
def list_notebooks() -> None:
    """The notebooks with their titles, and their parameters with the defaults."""
    from icl_lib.cli import notebooks as notebooks_cli

    for path in notebooks_cli.available():
        click.echo(f"{path.stem:24} {notebooks_cli.title(path)}")
        for name, default in notebooks_cli.parameters_of(path).items():
            click.echo(f"{'':26}-p {name} {default}")


@app.group("data")
def data_group() -> None:
    """Look at a benchmark's files, or draw a stand-in for one."""


@data_group.command("check", short_help="Counts found and published, and what was skipped.")
@click.argument("name")
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Stop at the first bad record.")
@click.option("--pictures", is_flag=True, help="Decode every picture, not only its header and end.")
@click.option("--annotation", help="Another annotation file in the folder, as caption_all.json.")
def check_data(name, root, strict, pictures, annotation) -> None:
    """Counts found and published, what was skipped, duplicates, lengths and sizes of a data set.

    NAME is cuhk, icfg, rstp or ufine, and ROOT the benchmark's folder, or the one that holds it; or NAME is
    folder, and ROOT holds pictures of your own, with or without captions.csv.
    """
    import warnings

    import pandas as pd

    from icl_lib.data import benchmarks, checks, folder

    own = name == "folder"
    if own and annotation:
        raise ValueError(
            "--annotation belongs to a benchmark; a folder of your own has captions.csv at most"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the table and the list below say the same, and more
        if own:
            manifest = folder.read_folder(root, strict=strict, check_pictures=pictures)
        else:
            name = benchmarks.short_name(name)
            manifest = benchmarks.read_benchmark(name, root, strict, pictures, annotation)
    wide = ["display.max_rows", None, "display.max_columns", None, "display.width", None]
    with pd.option_context(*wide, "display.max_colwidth", 200):
        click.echo(checks.check(manifest, None if own else name).to_string(index=False))
    problems = manifest.attrs["problems"]
    for message in problems[:10]:
        click.echo(f"skipped: {message}")
    report = manifest.attrs["report"]
    skipped = sum(report.values())
    # A missing folder has one line, however many records it has.
    lines = skipped - report["missing_folder"] + len(manifest.attrs["missing_folders"])
    if lines > len(problems[:10]):
        click.echo(f"  … and {lines - len(problems[:10])} more")
    said = int((manifest["caption_id"] >= 0).sum())
    click.echo(f"{manifest.attrs['root']}: {said} captions read, {skipped} skips of any kind")


@data_group.command("standin", short_help="Draw a stand-in in the benchmark's own layout.")
@click.argument("name")
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--identities", type=click.IntRange(min=1), help="Drawn persons in all.  [default: 200]"
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed draws the same people.",
)
def make_standin(name, root, identities, seed) -> None:
    """Draw a stand-in for benchmark NAME (cuhk, icfg, rstp, ufine), in its own layout, in folder ROOT."""
    from icl_lib.data import standin
    from icl_lib.params import load_params

    params = load_params(name)  # refuses an unknown name
    chosen = {} if identities is None else {"identities": identities}
    standin.make_standin(params.dataset, root, **chosen, seed=seed)
    click.echo(f"drew {params.data.title} in {root}; look at it with: icl data check {name} {root}")


def main() -> None:
    """Entry point of the console script."""
    guarded(app)


def guarded(command) -> None:
    """Runs a click command: bad input ends in one paragraph and exit code 2, not in a traceback."""
    try:
        command()
    except (ValueError, FileNotFoundError) as error:
        click.echo(f"icl: {error}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
