"""Training epochs in the released code's way, with the kit's savings, and by the kit's own loop."""

import math
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
from safetensors.torch import save_file
from scipy.stats import t as student

from icl_lib.data.views import Images, PairViews
from icl_lib.params import Params
from icl_lib.results import progress
from icl_lib.retrieval.ccd import divide
from icl_lib.retrieval.evaluate import similarity
from icl_lib.retrieval.load import load_backbone, new_backbone
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.objectives import Objective
from icl_lib.retrieval.schedule import lr_factor, parameter_groups
from icl_lib.retrieval.train import train_backbone
from icl_lib.speed import evaluating
from icl_lib.speed.released import RELEASED, Way, fast_bf16, in_way
from icl_lib.speed.timing import with_ratios

STEPS = {
    "the released code's way": RELEASED,
    "+ CCD encodes every picture once": Way(once=True),
    "+ averaged attention from the last layer only": Way(once=True, attention="last"),
    "+ the kit's encoder, one row of attention": Way(once=True, attention="row"),
    "+ captions cut to their length": Way(once=True, attention="row", trimmed=True),
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


def train(params: Params, pairs: pd.DataFrame, way: Way, epochs: int) -> tuple[RDE, list[float]]:
    """Trains on `pairs` (rows of a manifest) in one way.

    Initial weights, order of the data, augmentation, loss, schedule, optimiser groups and CCD are
    the kit's; a way only changes how much is computed for them.

    Returns:
        The model, and the seconds of each epoch.
    """
    settings, model = params.backbone, new_backbone(params)
    view = in_way(model, way)
    objective = Objective(settings)
    optimiser = torch.optim.Adam(parameter_groups(model, settings))
    slots, _ = pd.factorize(pairs["image_id"])  # [P], each pair's picture by first appearance
    images = Images(pairs.drop_duplicates("image_id")["path"].tolist(), model.image_size)
    ids = model.tokenise(pairs["caption"].tolist()).numpy()
    pids = torch.tensor(pairs["pid"].to_numpy())
    views = PairViews(images, slots, ids, model.tokenizer, settings, params.seed)
    took = []
    for epoch in range(epochs):
        start = time.perf_counter()
        rng = np.random.default_rng((params.seed, epoch, 1))
        losses = pair_losses(view, views, pids, objective, settings.batch_size, way.once, rng)
        clean = torch.from_numpy(divide(losses, rng)).float()
        loader = views.loader(epoch, settings.batch_size)
        model.train()
        for step, batch in enumerate(loader):
            at = epoch + step / len(loader)
            factor = lr_factor(at, epochs, settings.warmup_epochs, settings.warmup_factor)
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor
            with view.autocast():
                outputs = view(batch)
            rows = batch["pair"]
            loss = objective(outputs, pids[rows], clean[rows].to(model.device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            loss.item()  # waits for a GPU, as any loop does that reports its loss
        took.append(time.perf_counter() - start)
    return model, took


def pair_losses(
    model: RDE,
    views: PairViews,
    pids: torch.Tensor,
    objective: Objective,
    size: int,
    once: bool,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """CCD's loss of each plain pair {branch: [P]}, computed in random batches of `size` pairs.

    With `once`, each picture is encoded once; otherwise again for each of its captions.
    """
    pixels, slots = torch.cat([*views.images.batches(model.eval_batch)]), views.image_of
    if not once:
        pixels, slots = pixels[slots], np.arange(len(slots))
    images = model.branches_of(model.encode_images(pixels))
    texts = model.branches_of(model.encode_ids(torch.from_numpy(views.ids)))
    losses = {name: np.zeros(len(slots)) for name in texts}
    for pairs in np.array_split(rng.permutation(len(slots)), math.ceil(len(slots) / size)):
        for name, values in losses.items():
            sim = torch.from_numpy(texts[name][pairs] @ images[name][slots[pairs]].T)
            values[pairs] = objective.per_pair(sim, pids[pairs]).numpy()
    return losses


def train_kit(
    params: Params, pairs: pd.DataFrame, precision: str, epochs: int
) -> tuple[RDE, list[float]]:
    """Trains with the kit's own `train_backbone`; the model, and the seconds of each epoch."""
    settings = {"precision": precision, "epochs": epochs, "rda": False}
    backbone = params.backbone.model_copy(update=settings)
    params = params.model_copy(update={"backbone": backbone})
    with tempfile.TemporaryDirectory() as folder:
        train_backbone(params, pairs, folder)  # without val, so that only training is timed
        log = pd.read_csv(Path(folder) / "log.csv")
        return load_backbone(params, folder), log["seconds"].tolist()


def savings(params: Params, pairs: pd.DataFrame, repeats: int = 1) -> pd.DataFrame:
    """A training epoch with one saving more in each row; the last rows are the kit's own loop.

    Columns: `seconds`, `gain` over the row above, `ratio` to the released way. The row of bf16 is
    left out on machines that are not faster in it.
    """
    own = {"the kit's own loop": "fp32"} | ({"+ bf16": "bf16"} if fast_bf16() else {})
    train(params, pairs[: 2 * params.backbone.batch_size], RELEASED, 1)  # pays one-off preparations
    steps = progress(STEPS.items(), "ways")
    took = {name: min(train(params, pairs, way, repeats)[1]) for name, way in steps}
    for name, precision in own.items():
        took[name] = min(train_kit(params, pairs, precision, repeats)[1])
    return with_ratios(pd.DataFrame({"seconds": took}))


def learned(
    params: Params, pairs: pd.DataFrame, manifest: pd.DataFrame, epochs: int, seeds: Iterable[int]
) -> tuple[pd.DataFrame, RDE]:
    """Trains in the released way and by the kit with each seed, and measures all on val in fp32.

    Returns:
        A table with a row for each seed and way: `rank1` and `mAP` in percent, `seconds` an
        epoch; and the last seed's model of the kit in fp32.
    """
    rows = []
    for seed in seeds:
        own = params.model_copy(update={"seed": seed})
        models = {
            "released": train(own, pairs, RELEASED, epochs),
            "kit": train_kit(own, pairs, "fp32", epochs),
        }
        if fast_bf16():
            models["kit, bf16"] = train_kit(own, pairs, "bf16", epochs)
        for way, (model, took) in models.items():
            model.precision = "fp32"
            metrics = retrieval_metrics(*similarity(model, manifest, "val"))
            scores = {name: metrics[name] for name in ("rank1", "mAP")}
            rows.append({"way": way, "seed": seed, **scores, "seconds": min(took)})
    return pd.DataFrame(rows), models["kit"][0]


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
