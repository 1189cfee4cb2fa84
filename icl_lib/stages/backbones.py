"""The stage of notebook 03: the backbone with and without RDA, and its test metrics."""

from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import with_intervals
from icl_lib.data import captions, fingerprint
from icl_lib.figures.live import live_curve
from icl_lib.mllm import load_mllm
from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.rda import read_diversity, without_least
from icl_lib.results import file_hash, folder_hash, read_json, update_summary
from icl_lib.retrieval import load_backbone, similarity, train_backbone
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.retrieval.run_folder import noise_key
from icl_lib.retrieval.weights import find_weights
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import data
from icl_lib.stages.rda import checked, reorganised


def baseline(params: Params, variant: str = "") -> Path:
    """The backbone trained on the original captions only (Table 6, row 4; the miner of Eq. 3).

    variant: names a training beside the run's own, such as "seed1" (see `stages.made.stage`).
    """
    return _trained(params.changed("backbone", rda=False), "baseline", data(params), variant)


def backbone(params: Params, variant: str = "", texts: dict[int, dict] | None = None) -> Path:
    """The ICL backbone, trained on captions and RDA's texts; the baseline if backbone.rda is off.

    Args:
        params: the settings; rda.file and rda.drop choose among RDA's texts.
        variant: names a training beside the run's own, such as "seed1".
        texts: {caption_id: {"parts": …}} to train on instead of RDA's texts, for studies of them.
    """
    if not params.backbone.rda:
        return baseline(params, variant)
    manifest = data(params)
    if texts is not None:
        key = {"texts": digest({i: row["parts"] for i, row in texts.items()})}
    elif params.rda.file is not None:
        texts, key = _texts_from_file(Path(params.rda.file).expanduser(), manifest)
    else:
        texts, mllm = reorganised(params), load_mllm(params)
        key = {"writer": mllm.writer_name, "prompts": mllm.prompts.hash}
        if params.rda.drop is not None:
            train = captions(manifest, "train")
            texts = without_least(texts, train, checked(params), params.rda.drop)
    key["rda"] = params.key("rda", "mllm")
    parts = {caption_id: row["parts"] for caption_id, row in texts.items()}
    return _trained(params, "backbone", manifest, variant, parts, key)


def measured(params: Params, folder: Path) -> dict[str, np.ndarray]:
    """Test metrics of a backbone for each query."""
    return per_query_metrics(*similarity(load_backbone(params, folder), data(params), "test"))


def evaluated(params: Params, folder: Path, name: str) -> dict[str, np.ndarray]:
    """Test metrics of a backbone for each query; writes backbone.<name> of summary.json."""
    values = measured(params, folder)
    selected_on = read_json(folder / "training.json")["selected_on"]
    reported = {**with_intervals(values), "selected_on": selected_on}
    update_summary(params, f"backbone.{name}", reported)
    return values


def _trained(
    params: Params,
    name: str,
    manifest: pd.DataFrame,
    variant: str,
    parts: dict | None = None,
    key: dict | None = None,
) -> Path:
    """Trains on the captions and, if given, on `parts`, which `key` stands for."""
    key = {
        **params.key("backbone"),
        **noise_key(params),
        "data": fingerprint(manifest),
        "weights": _weights_hash(params),
        **(key or {}),
    }

    def build(folder: Path) -> None:
        train_backbone(params, manifest, folder, parts, live_curve(params.backbone.epochs))

    return stage(params, name, key, build, variant)


def _texts_from_file(path: Path, manifest: pd.DataFrame) -> tuple[dict[int, dict], dict]:
    """Texts from rda.file, and what stands for them in a key.

    A caption that the file does not have is trained on as it is.
    """
    train = captions(manifest, "train")
    known = read_diversity(path, train)
    print(f"{path.name} has texts for {len(known):,} of {len(train):,} training captions")
    texts = {
        caption_id: {"parts": known.get(caption_id, [[text]])}
        for caption_id, text in zip(train["caption_id"].astype(int), train["caption"], strict=True)
    }
    return texts, {"file": file_hash(path)}


def _weights_hash(params: Params) -> str:
    """A hash of the starting weights' content, which sees a file replaced under its old name."""
    weights = find_weights(params)
    if params.backbone.checkpoint is None and params.backbone.clip == "small":
        return folder_hash(weights if weights.is_dir() else weights.parent)
    return folder_hash(weights) if weights.is_dir() else file_hash(weights)
