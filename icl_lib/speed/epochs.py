"""Training epochs in the released code's way, with the kit's savings one by one, and by the kit itself."""

import math
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from icl_lib.data.views import Images, PairViews
from icl_lib.params import Params
from icl_lib.results import progress
from icl_lib.retrieval.backbone import uses_bf16
from icl_lib.retrieval.ccd import divide
from icl_lib.retrieval.evaluate import similarity
from icl_lib.retrieval.load import load_backbone, new_backbone
from icl_lib.retrieval.losses import LOSSES
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.schedule import lr_factor, parameter_groups
from icl_lib.retrieval.train import train_backbone
from icl_lib.speed.released import RELEASED, Way, encode, image_branches, text_branches

STEPS = {
    "the released code's way": RELEASED,
    "+ CCD encodes every picture once": Way(True),
    "+ averaged attention from the last layer only": Way(True, "last"),
    "+ the kit's encoder, one row of attention": Way(True, "row"),
    "+ captions cut to their length": Way(True, "row", True),
}


def train(params: Params, pairs: pd.DataFrame, way: Way, epochs: int) -> tuple[RDE, list[float]]:
    """The model after `epochs` epochs on `pairs` (a manifest's rows) in this way, and each epoch's seconds.

    Start, data order, augmentation, loss, schedule, optimiser groups and CCD are the kit's: only how much is
    computed for them differs.
    """
    settings, model = params.backbone, new_backbone(params)
    model.precision = way.precision
    optimiser = torch.optim.Adam(parameter_groups(model, settings))
    pictures = pairs.drop_duplicates("image_id")
    slot = {image: i for i, image in enumerate(pictures["image_id"])}
    image_of = np.array([slot[image] for image in pairs["image_id"]])
    pids = torch.from_numpy(pairs["pid"].to_numpy(np.int64, copy=True))
    ids = model.tokenise(pairs["caption"].tolist()).numpy()
    images = Images(pictures["path"].tolist(), model.image_size)
    views = PairViews(images, image_of, ids, model.tokenizer, settings, params.seed)
    loss = LOSSES[settings.loss]
    options = {"tau": settings.tau, "margin": settings.margin} if settings.loss == "tal" else {}
    took = []
    for epoch in range(epochs):
        start = time.perf_counter()
        rng = np.random.default_rng((params.seed, epoch, 1))
        losses = pair_losses(model, views, pids, loss, options, settings.batch_size, way, rng)
        clean = torch.from_numpy(divide(losses, rng))
        loader = views.loader(epoch, settings.batch_size)
        model.train()
        for step, batch in enumerate(loader):
            at = epoch + step / len(loader)
            factor = lr_factor(at, epochs, settings.warmup_epochs, settings.warmup_factor)
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor
            with model.autocast():
                vectors = image_branches(model, batch["pixels"], way)
                texts = text_branches(model, batch["ids"], way)
            believed, people = clean[batch["pair"]].float().to(model.device), pids[batch["pair"]]
            total = sum(
                (believed * loss(texts[name] @ vectors[name].T, people, **options)).sum()
                for name in vectors
            )
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            optimiser.step()
            total.item()  # waits for a GPU, as any loop does that watches its loss
        took.append(time.perf_counter() - start)
    return model, took


def pair_losses(
    model: RDE,
    views: PairViews,
    pids: torch.Tensor,
    loss,
    options: dict,
    size: int,
    way: Way,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """CCD's losses {branch: [P]} of plain pairs, each in a random batch of `size`.

    Encoded once, a picture serves all its captions; in the released way it is encoded again for each.
    """
    pixels, ids = torch.cat([*views.images.batches(model.eval_batch)]), torch.from_numpy(views.ids)
    batches = np.array_split(rng.permutation(len(ids)), math.ceil(len(ids) / size))
    if way.once:
        vectors = encode(model, pixels.split(model.eval_batch), image_branches, way)
        order = ids.argmax(1).argsort(
            stable=True
        )  # captions of like length together: less is padded
        texts = encode(model, ids[order].split(model.eval_batch), text_branches, way)
        vectors = {name: values[views.image_of] for name, values in vectors.items()}
        texts = {name: values[order.argsort().numpy()] for name, values in texts.items()}
    out = {name: np.zeros(len(ids)) for name in ("bge", "tse")}
    for pairs in batches:
        if way.once:
            here, said = ({name: v[pairs] for name, v in side.items()} for side in (vectors, texts))
        else:
            here = encode(model, [pixels[views.image_of[pairs]]], image_branches, way)
            said = encode(model, [ids[pairs]], text_branches, way)
        for name, values in out.items():
            sim = torch.from_numpy(said[name] @ here[name].T)
            values[pairs] = loss(sim, pids[pairs], **options).numpy()
    return out


def train_kit(
    params: Params, pairs: pd.DataFrame, precision: str, epochs: int
) -> tuple[RDE, list[float]]:
    """The model after `epochs` epochs of `train_backbone`, the kit's own loop, and each epoch's seconds."""
    wanted = params.backbone.model_copy(
        update={"precision": precision, "epochs": epochs, "rda": False}
    )
    params = params.model_copy(update={"backbone": wanted})
    with tempfile.TemporaryDirectory() as folder:
        train_backbone(
            params, pairs, folder
        )  # pairs hold no val, so an epoch's seconds are training alone
        return load_backbone(params, folder), pd.read_csv(Path(folder) / "log.csv")[
            "seconds"
        ].tolist()


def savings(params: Params, pairs: pd.DataFrame, repeats: int = 1) -> pd.DataFrame:
    """An epoch with one saving more in each row: seconds, gain over the row above, ratio to the released way.

    The last rows are the kit's own loop; bf16 only where the machine is fast at it.
    """
    own = {"the kit's own loop": "fp32"} | ({"+ bf16": "bf16"} if _bf16() else {})
    train(
        params, pairs[: 2 * params.backbone.batch_size], RELEASED, 1
    )  # the first run pays what is paid once
    steps = progress(STEPS.items(), "ways", len(STEPS))
    took = {name: min(train(params, pairs, way, repeats)[1]) for name, way in steps}
    took |= {
        name: min(train_kit(params, pairs, precision, repeats)[1])
        for name, precision in own.items()
    }
    table = pd.DataFrame({"seconds": took}).rename_axis("way")
    table["gain"] = (table["seconds"].shift() / table["seconds"]).fillna(1.0)
    table["ratio"] = table["seconds"].iloc[0] / table["seconds"]
    return table


def learned(
    params: Params,
    pairs: pd.DataFrame,
    manifest: pd.DataFrame,
    epochs: int,
    seeds: Iterable[int],
    split: str = "val",
) -> tuple[pd.DataFrame, RDE]:
    """Rank-1 and mAP on `split` (percent) and seconds an epoch after training each way with each seed.

    Rows: way, seed. Also the last seed's model of the kit in fp32. All are measured by the kit in fp32.
    """
    rows, kept = [], None
    for seed in seeds:
        own = params.model_copy(update={"seed": seed})
        for way in ("released", "kit", *(["kit, bf16"] if _bf16() else [])):
            if way == "released":
                model, took = train(own, pairs, RELEASED, epochs)
            else:
                model, took = train_kit(own, pairs, "bf16" if "bf16" in way else "fp32", epochs)
            model.precision = "fp32"
            told = retrieval_metrics(*similarity(model, manifest, split))
            rows.append(
                {
                    "way": way,
                    "seed": seed,
                    "rank1": told["rank1"],
                    "mAP": told["mAP"],
                    "seconds": min(took),
                }
            )
            kept = model if way == "kit" else kept
    return pd.DataFrame(rows), kept


def noise(
    table: pd.DataFrame, metric: str = "rank1", level: float = 0.99, least: float = 1.0
) -> pd.DataFrame:
    """Each way's mean against the released way's: difference, limit, and whether it is within the limit.

    The limit of what seeds alone explain is a t-interval at `level` of a difference of means, with the ways'
    pooled deviation over seeds, but never below `least` points: a few seeds may agree by luck, and one to two
    points are what retrainings of such models usually differ by.
    """
    from scipy.stats import t

    groups = table.groupby("way", sort=False)[metric]
    count, ways = groups.size().min(), groups.ngroups
    if count < 2:
        raise ValueError("noise over seeds needs at least two seeds a way")
    spread, freedom = math.sqrt(groups.var().mean()), ways * (count - 1)
    limit = max(least, float(t.ppf((1 + level) / 2, freedom)) * spread * math.sqrt(2 / count))
    means = groups.mean()
    out = pd.DataFrame({"mean": means, "difference": means - means["released"], "limit": limit})
    return out.assign(within=out["difference"].abs() <= limit)


def large(
    params: Params,
    folder: Path | str,
    clip: str = "ViT-B-16-quickgelu",
    size: tuple[int, int] = (384, 128),
    batch: int = 64,
) -> Params:
    """`params` for a CLIP of the paper's size with random weights, as slow as any; they go into `folder`.

    ViT-B/16 at 384 x 128 pixels, TSE of width 1024, in batches of 64: for machines with a GPU.
    """
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(params.seed)
    path = Path(folder) / f"{clip}-random.safetensors"
    state = open_clip.create_model(clip, pretrained=None).state_dict()
    save_file({name: value.contiguous().clone() for name, value in state.items()}, path)
    wanted = {
        "clip": clip,
        "weights": str(path),
        "image_size": tuple(size),
        "embed_tse": 1024,
        "batch_size": batch,
        "eval_batch": batch,
        "pad": 10,
    }
    return params.model_copy(update={"backbone": params.backbone.model_copy(update=wanted)})


def _bf16() -> bool:
    return uses_bf16("auto", torch.device("cuda" if torch.cuda.is_available() else "cpu"))
