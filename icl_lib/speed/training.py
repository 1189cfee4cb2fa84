"""Training epochs in the released code's way, with the kit's savings, and by the kit's own loop."""

import math
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
from safetensors.torch import save_file
from scipy.stats import t as student

from icl_lib.params import Params
from icl_lib.results import progress
from icl_lib.retrieval.evaluate import similarity
from icl_lib.retrieval.load import load_backbone, new_backbone
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.schedule import parameter_groups
from icl_lib.retrieval.train import Training
from icl_lib.speed import evaluating
from icl_lib.speed.released import KIT, KIT_BF16, RELEASED, WAYS, Way, available, in_way
from icl_lib.speed.timing import with_ratios

STEPS = {
    "the released code's way": RELEASED,
    "+ CCD encodes every picture once": Way(once=True),
    "+ averaged attention from the last layer only": Way(once=True, attention="last"),
    "+ the kit's encoder, one row of attention": Way(once=True, attention="row"),
    "+ captions cut to their length": Way(once=True, attention="row", trimmed=True),
    "the kit's own loop": KIT,
    "+ bf16": KIT_BF16,
}
LARGE = {  # the paper's backbone, for machines with a GPU
    "clip": "ViT-B-16-quickgelu",
    "image_size": (384, 128),
    "embed_tse": 1024,
    "batch_size": 64,
    "eval_batch": 64,
    "pad": 10,
}
LEVEL = 0.99  # of the interval in which seeds alone explain a difference
RETRAINING = 1.0  # points by which retrainings of such models usually differ


class TrainingInWay(Training):
    """The kit's training loop, but in one way, and without Adam's fused step."""

    def __init__(self, params: Params, pairs: pd.DataFrame, folder: Path, way: Way):
        """Prepares a run as `Training` does, then changes its model and optimiser."""
        super().__init__(params, pairs, folder, augmented=None, run="")
        self.way, self.model = way, in_way(self.model, way)
        self.optimiser = torch.optim.Adam(parameter_groups(self.model, self.settings))

    def clean(self, epoch: int) -> np.ndarray:
        """CCD's clean pairs [P]; unless `once`, a picture is encoded again for each caption."""
        if not self.way.once:
            repeated = self.image_of[pd.Series(self.image_of).duplicated()]
            pixels = torch.cat([*self.images.batches(self.model.eval_batch)])
            self.model.encode_images(pixels[repeated])
        return super().clean(epoch)


def train(params: Params, pairs: pd.DataFrame, way: Way, epochs: int) -> tuple[RDE, list[float]]:
    """Trains on `pairs`, rows of a manifest's train split, and times each epoch.

    Initial weights, order of the data, augmentation, loss, schedule and CCD are the same in all
    ways; a way only changes how much is computed for them. `KIT` and `KIT_BF16` are the kit's own
    loop, with Adam's fused step.

    Returns:
        The model, and the seconds of each epoch.
    """
    settings = {"precision": way.precision, "epochs": epochs, "rda": False}
    backbone = params.backbone.model_copy(update=settings)
    params = params.model_copy(update={"backbone": backbone})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if way in (KIT, KIT_BF16):
            loop = Training(params, pairs, folder, augmented=None, run="")
        else:
            loop = TrainingInWay(params, pairs, folder, way)
        loop.go()
        return load_backbone(params, folder), [row["seconds"] for row in loop.rows]


def savings(params: Params, pairs: pd.DataFrame, repeats: int = 1) -> pd.DataFrame:
    """A training epoch with one saving more in each row; the last rows are the kit's own loop.

    Columns: `seconds`, `gain` over the row above, `ratio` to the released way. The row of bf16 is
    left out on machines that are not faster in it.
    """
    train(params, pairs[: 2 * params.backbone.batch_size], RELEASED, 1)  # pays one-off preparations
    steps = progress(available(STEPS).items(), "ways")
    took = {name: min(train(params, pairs, way, repeats)[1]) for name, way in steps}
    return with_ratios(pd.DataFrame({"seconds": took}))


def learned(
    params: Params, pairs: pd.DataFrame, manifest: pd.DataFrame, epochs: int, seeds: Iterable[int]
) -> tuple[pd.DataFrame, RDE]:
    """Trains in the released way and by the kit with each seed, and measures all on val in fp32.

    Returns:
        A table with a row for each seed and way: `rank1` and `mAP` in percent, `seconds` an
        epoch; and the last seed's model of the kit in fp32.
    """
    rows, models = [], {}
    for seed in seeds:
        own = params.model_copy(update={"seed": seed})
        for name, way in available(WAYS).items():
            model, took = train(own, pairs, way, epochs)
            model.precision, models[name] = "fp32", model
            metrics = retrieval_metrics(*similarity(model, manifest, "val"))
            scores = {key: metrics[key] for key in ("rank1", "mAP")}
            rows.append({"way": name, "seed": seed, **scores, "seconds": min(took)})
    return pd.DataFrame(rows), models["kit"]


def noise(table: pd.DataFrame) -> pd.DataFrame:
    """Whether each way's mean Rank-1 differs from the released way's by no more than seeds do.

    The limit is a t-interval at `LEVEL` of a difference of two means, from the ways' pooled
    deviation over seeds; but at least `RETRAINING` points, since a few seeds may agree by luck.

    Args:
        table: of `learned`.

    Returns:
        A row for each way: `mean`, `difference`, `limit`, and `within`, whether |difference|
        <= limit.

    Raises:
        ValueError: with a single seed, which shows no noise.
    """
    groups = table.groupby("way", sort=False)["rank1"]
    count = groups.size().min()
    if count < 2:
        raise ValueError("Noise over seeds needs at least two seeds for each way.")
    quantile = student.ppf((1 + LEVEL) / 2, df=groups.ngroups * (count - 1))
    limit = max(RETRAINING, quantile * math.sqrt(groups.var().mean() * 2 / count))
    means = groups.mean()
    out = pd.DataFrame({"mean": means, "difference": means - means["released"], "limit": limit})
    return out.assign(within=out["difference"].abs() <= limit)


def large(params: Params, folder: Path | str) -> Params:
    """`params` with the settings of `LARGE` and random weights, which are written to `folder`.

    Random weights take as long as trained ones.
    """
    torch.manual_seed(params.seed)
    state = open_clip.create_model(LARGE["clip"], pretrained=None).state_dict()
    weights = Path(folder) / "random.safetensors"
    save_file({name: value.contiguous().clone() for name, value in state.items()}, weights)
    settings = LARGE | {"weights": str(weights)}
    return params.model_copy(update={"backbone": params.backbone.model_copy(update=settings)})


def large_savings(
    params: Params, manifest: pd.DataFrame, people: int, pairs: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Both tables of savings, of an evaluation and an epoch, with a ViT-B/16: {title: table}."""
    with tempfile.TemporaryDirectory() as folder:
        vit = large(params, folder)
        model = new_backbone(vit)
        data = evaluating.held(model, manifest, "test", people)
        return {
            "Evaluation, ViT-B/16": evaluating.savings(model, data),
            "Training epoch, ViT-B/16": savings(vit, pairs),
        }
