"""The folder of one training: its key, its log, and what a resumed training needs."""

import hashlib
import math
import time
from pathlib import Path

from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.results import atomic_write, read_json, write_json
from icl_lib.retrieval import distributed
from icl_lib.retrieval.evaluate import similarity
from icl_lib.retrieval.load import load_backbone
from icl_lib.retrieval.metrics import retrieval_metrics

LAST, LOG, DONE = "last.pt", "log.csv", "training.json"


def run_key(params: Params, manifest, augmented: dict | None = None) -> str:
    """12 hex digits of all that the weights depend on: settings, seed, the manifest's pairs, the augmented
    texts.
    """
    import pandas as pd

    columns = ["split", "pid", "image_id", "caption_id", "caption"]
    pairs = pd.util.hash_pandas_object(manifest[columns].astype(str), index=False).to_numpy()
    texts = None if augmented is None else {str(key): augmented[key] for key in sorted(augmented)}
    return digest(
        {
            "params": params.key("backbone"),
            "pairs": digest(pairs.tolist()),
            "augmented": digest(texts),
        }
        | noise_key(params)
    )


def noise_key(params: Params) -> dict:
    """What the file of backbone.noise_index holds, as part of a key; empty without one."""
    path = params.backbone.noise_index
    if path is None:
        return {}
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"no noise index at {path} (backbone.noise_index): give a .npy file, or a "
            "share of wrong pairs as backbone.noise"
        )
    return {"noise_index": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def _pairs(manifest):
    """The training pairs: the train split's captions, in the manifest's order."""
    return manifest[(manifest["split"] == "train") & (manifest["caption_id"] >= 0)]


def _with_noise(manifest, params: Params) -> tuple:
    """The manifest with backbone.noise in its pairs, and which of them are right [P], None if all are."""
    index, share = params.backbone.noise_index, params.backbone.noise
    if index is None and not share:
        return manifest, None
    from icl_lib.data.noise import apply_noise

    return apply_noise(manifest, share if index is None else index, params.seed)


def _check(manifest, settings) -> None:
    pairs = len(_pairs(manifest))
    if pairs < 2:
        raise ValueError(
            f"the train split has {pairs} captions; training needs at least 2. Check the data "
            "set with `icl data check`."
        )
    if settings.batch_size < distributed.world():
        raise ValueError(
            f"backbone.batch_size {settings.batch_size} is the whole batch, which "
            f"{distributed.world()} processes cannot share out: start fewer, or raise it"
        )


def _found(folder: Path, run: str) -> dict | None:
    """training.json of a folder that is done; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DONE).is_file():
        return None
    done = read_json(folder / DONE)
    _same_run(done["run"], run, folder)
    return done


def _adopt(params: Params, manifest, folder: Path, run: str) -> dict:
    """Puts backbone.checkpoint into `folder` as if one epoch had been trained, its loss not known."""
    start, model, wanted = time.perf_counter(), load_backbone(params), params.backbone.select_on
    row = {"epoch": 0, "lr": 0.0, "loss": math.nan, "clean": 1.0}
    if (manifest["split"] == wanted).any():
        row |= retrieval_metrics(*similarity(model, manifest, wanted))
    row["seconds"] = round(time.perf_counter() - start, 2)
    train = _pairs(manifest)
    done = {
        "run": run,
        "selected_on": f"whoever made {Path(params.backbone.checkpoint).name}",
        "best": row,
        "epochs": 0,
        "pairs": len(train),
        "images": train["image_id"].nunique(),
        "rda": False,
        "seconds": row["seconds"],
    }
    if distributed.rank() == 0:
        model.save(folder)
        values = ",".join(f"{value:.6g}" for value in row.values())
        atomic_write(folder / LOG, f"{','.join(row)}\n{values}\n")
        write_json(folder / DONE, done)
    return distributed.from_first(done)


def _same_run(found: str, wanted: str, folder: Path) -> None:
    if found != wanted:
        raise ValueError(
            f"{folder} holds the training of other settings, data or texts (run {found}, this "
            f"one is {wanted}). Give another folder, or remove that one."
        )
