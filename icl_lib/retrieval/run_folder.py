"""The folder of one training: its key, its log, and the record of a finished training."""

import hashlib
import math
import time
from pathlib import Path

import pandas as pd

from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.results import atomic_write, read_json, write_json
from icl_lib.retrieval import distributed
from icl_lib.retrieval.evaluate import similarity
from icl_lib.retrieval.load import load_backbone
from icl_lib.retrieval.metrics import retrieval_metrics

LAST, LOG, DONE = "last.pt", "log.csv", "training.json"


def run_key(params: Params, manifest: pd.DataFrame, augmented: dict | None = None) -> str:
    """12 hex digits of all that the trained weights depend on.

    These are the settings, the seed, the manifest's pairs and the augmented texts.
    """
    columns = ["split", "pid", "image_id", "caption_id", "caption"]
    pairs = pd.util.hash_pandas_object(manifest[columns].astype(str), index=False).to_numpy()
    texts = None if augmented is None else {str(key): augmented[key] for key in sorted(augmented)}
    key = {
        "params": params.key("backbone"),
        "pairs": digest(pairs.tolist()),
        "augmented": digest(texts),
    }
    return digest(key | noise_key(params))


def noise_key(params: Params) -> dict:
    """The content of the file backbone.noise_index, as a part of a key; empty without one."""
    path = params.backbone.noise_index
    if path is None:
        return {}
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"no noise index at {path} (backbone.noise_index): give a .npy file, or a share of "
            "wrong pairs as backbone.noise"
        )
    return {"noise_index": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def training_pairs(manifest: pd.DataFrame) -> pd.DataFrame:
    """The rows of the train split's captions, in the manifest's order."""
    return manifest[(manifest["split"] == "train") & (manifest["caption_id"] >= 0)]


def check_trainable(pairs: int, batch_size: int) -> None:
    """Raises ValueError for too few training pairs or a batch too small for the processes."""
    if pairs < 2:
        raise ValueError(
            f"the train split has {pairs} captions, but training needs at least 2. Check the data "
            "set with `icl data check`."
        )
    if batch_size < distributed.world():
        raise ValueError(
            f"backbone.batch_size {batch_size} is the whole batch, which {distributed.world()} "
            "processes cannot share out: start fewer processes, or raise it"
        )


def finished(folder: Path, run: str) -> dict | None:
    """The record of a finished training of this run, None if it is not finished.

    Raises:
        ValueError: the folder holds another run.
    """
    if not (folder / DONE).is_file():
        return None
    done = read_json(folder / DONE)
    check_run(done["run"], run, folder)
    return done


def check_run(found: str, wanted: str, folder: Path) -> None:
    """Raises ValueError if the run found in `folder` is not the one wanted."""
    if found != wanted:
        raise ValueError(
            f"{folder} holds the training of other settings, data or texts (run {found}, this one "
            f"is {wanted}). Give another folder, or remove that one."
        )


def write_log(folder: Path, rows: list[dict]) -> None:
    """Writes log.csv, one row per epoch."""
    table = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", na_rep="nan")
    atomic_write(folder / LOG, table)


def finish(folder: Path, done: dict) -> dict:
    """Writes the record of a finished training, in process 0, and returns it in all processes."""
    if distributed.rank() == 0:
        write_json(folder / DONE, done)
        (folder / LAST).unlink(missing_ok=True)
    return distributed.from_first(done)


def adopt_checkpoint(params: Params, manifest: pd.DataFrame, folder: Path, run: str) -> dict:
    """Puts backbone.checkpoint into `folder`, logged as one epoch of unknown loss."""
    start = time.perf_counter()
    model = load_backbone(params)
    row = {"epoch": 0, "lr": 0.0, "loss": math.nan, "clean": 1.0}
    if (manifest["split"] == params.backbone.select_on).any():
        row |= retrieval_metrics(*similarity(model, manifest, params.backbone.select_on))
    row["seconds"] = round(time.perf_counter() - start, 2)
    if distributed.rank() == 0:
        model.save(folder)
        write_log(folder, [row])
    pairs = training_pairs(manifest)
    done = {
        "run": run,
        "selected_on": f"whoever made {Path(params.backbone.checkpoint).name}",
        "best": row,
        "epochs": 0,
        "pairs": len(pairs),
        "images": pairs["image_id"].nunique(),
        "rda": False,
        "seconds": row["seconds"],
    }
    return finish(folder, done)
