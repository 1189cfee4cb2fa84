"""Training on several GPUs or machines: `accelerate launch -m icl_lib.cli.launch rstp --profile paper`."""

import click

from icl_lib.cli.main import guarded


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("dataset", default="rstp")
@click.option("--profile", default="paper", show_default=True, help="demo or paper.")
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
def app(dataset, profile, parameters, yaml_texts, yaml_files) -> None:
    """Train the backbones of DATASET (rstp, cuhk, icfg, ufine) where notebook 03 will find them.

    Both of them: without RDA, and with it (backbone.rda false: the first alone). Alone, or in as many
    processes as accelerate starts, for example on two GPUs of one machine:

        accelerate launch --multi_gpu --num_processes 2 -m icl_lib.cli.launch rstp -p seed 1

    backbone.batch_size is the whole batch, which the processes share out: any number of them makes the same
    model, but for rounding. Process 0 alone does what is not training (RDA) and writes; the others wait. On
    several machines the data set and the CLIP weights lie at the same place on each. Without a GPU the same
    command (--multi_gpu too) starts processes that meet over gloo.
    """
    from icl_lib import load_params, stages
    from icl_lib.cli.notebooks import merge_parameters
    from icl_lib.retrieval import distributed, train

    params = load_params(dataset, profile, **merge_parameters(yaml_files, yaml_texts, parameters))
    distributed.start()
    if distributed.rank() > 0:
        train.follow()
    else:
        for folder in dict.fromkeys([stages.baseline(params), stages.backbone(params)]):
            click.echo(f"{folder}: trained in {distributed.world()} process(es)")
        train.dismiss()
    distributed.end()


def main() -> None:
    """Entry point; where one process ends with an error, accelerate ends the others."""
    guarded(app)


if __name__ == "__main__":
    main()
