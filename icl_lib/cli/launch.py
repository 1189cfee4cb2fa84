"""Training on several GPUs or machines: `accelerate launch -m icl_lib.cli.launch rstp`."""

import click

from icl_lib.cli.main import guarded, parameter_options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("dataset", default="rstp")
@click.option("--profile", default="paper", show_default=True, help="demo or paper.")
@parameter_options
def app(dataset, profile, parameters, parameters_yaml, parameters_file) -> None:
    """Train the backbones of DATASET (rstp, cuhk, icfg, ufine) where notebook 03 finds them.

    Trains the backbone without RDA and the one with RDA, or with backbone.rda false only the first.
    It runs in one process or in as many as accelerate starts, for example on two GPUs:

        accelerate launch --multi_gpu --num_processes 2 -m icl_lib.cli.launch rstp -p seed 1

    backbone.batch_size is the size of the whole batch, which the processes share, so that any
    number of them trains the same model except for rounding. Only process 0 runs RDA and writes
    files. On several machines the data set and the CLIP weights must have the same path on each.
    Without a GPU the same command, with --multi_gpu, starts processes that communicate by gloo.
    """
    from icl_lib import load_params, stages
    from icl_lib.cli.notebooks import merged
    from icl_lib.retrieval import distributed, train

    overrides = merged(parameters_file, parameters_yaml, parameters)
    params = load_params(dataset, profile, **overrides)
    distributed.start()
    if distributed.rank() > 0:
        train.follow()
    else:
        for folder in dict.fromkeys([stages.baseline(params), stages.backbone(params)]):
            click.echo(f"{folder}: trained in {distributed.world()} process(es)")
        train.dismiss()
    distributed.end()


def main() -> None:
    """Entry point; if one process ends with an error, accelerate ends the others."""
    guarded(app)


if __name__ == "__main__":
    main()
