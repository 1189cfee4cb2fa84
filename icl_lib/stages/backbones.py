"""The stage of notebook 03: the backbone with and without RDA, and its test metrics."""

from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib import rda as rda_steps
from icl_lib.analysis.intervals import with_intervals
from icl_lib.data.manifest import captions, fingerprint
from icl_lib.figures.live import live_curve
from icl_lib.mllm.load import load_mllm
from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.results import file_hash, folder_hash, read_json, update_summary
from icl_lib.retrieval.evaluate import similarity
from icl_lib.retrieval.load import load_backbone
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.retrieval.run_folder import noise_key
from icl_lib.retrieval.train import train_backbone
from icl_lib.retrieval.weights import find_weights
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import data
from icl_lib.stages.rda import checked, reorganised


def baseline(params: Params, variant: str = "") -> Path:
    """The backbone trained on the original captions alone (Table 6, row 4; the miner of Eq. 3).

    variant: what sets this training apart from the run's own ("seed1", "noisy"); its time is not the run's.
    """
    params = params.model_copy(
        update={"backbone": params.backbone.model_copy(update={"rda": False})}
    )
    manifest = data(params)
    return stage(
        params,
        "baseline",
        _backbone_key(params, manifest),
        lambda folder: train_backbone(
            params, manifest, folder, on_epoch=live_curve(params.backbone.epochs)
        ),
        variant,
    )


def backbone(params: Params, variant: str = "", texts: dict | None = None) -> Path:
    """The ICL backbone: trained on the captions and RDA's texts of them; the baseline where backbone.rda is off.

    texts: others in their place, {caption_id: {"parts": …}}, to study what they do; else those of rda.file; else RDA's, less
    rda.drop of them. A caption that rda.file does not have is trained on as it is.
    """
    if not params.backbone.rda:
        return baseline(params, variant)
    manifest = data(params)
    if texts is not None:
        key = {"texts": digest({i: row["parts"] for i, row in texts.items()})}
    elif params.rda.file is not None:
        path, train = Path(params.rda.file).expanduser(), captions(manifest, "train")
        known, key = rda_steps.read_diversity(path, train), {"file": file_hash(path)}
        texts = {
            i: {"parts": known.get(i, [[text]])}
            for i, text in zip(train["caption_id"].astype(int), train["caption"])
        }
        print(f"{path.name} has texts for {len(known):,} of {len(train):,} training captions")
    else:
        texts, mllm = reorganised(params), load_mllm(params)
        key = {"writer": mllm.writer_name, "prompts": mllm.prompts.hash}
        if params.rda.drop is not None:
            texts = rda_steps.without_least(
                texts, captions(manifest, "train"), checked(params), params.rda.drop
            )
    parts = {i: row["parts"] for i, row in texts.items()}
    return stage(
        params,
        "backbone",
        {**_backbone_key(params, manifest), "rda": params.key("rda", "mllm"), **key},
        lambda folder: train_backbone(
            params, manifest, folder, parts, live_curve(params.backbone.epochs)
        ),
        variant,
    )


def measured(params: Params, folder: Path) -> dict[str, np.ndarray]:
    """Test metrics of a backbone, query by query."""
    return per_query_metrics(*similarity(load_backbone(params, folder), data(params), "test"))


def evaluated(params: Params, folder: Path, name: str) -> dict[str, np.ndarray]:
    """`measured`, and what fills backbone.<name> of the summary."""
    values = measured(params, folder)
    picked = read_json(folder / "training.json")["selected_on"]
    update_summary(params, f"backbone.{name}", {**with_intervals(values), "selected_on": picked})
    return values


def _backbone_key(params: Params, manifest: pd.DataFrame) -> dict:
    return {
        **params.key("backbone"),
        **noise_key(params),
        "data": fingerprint(manifest),
        "weights": _weights_hash(params),
    }


def _weights_hash(params: Params) -> str:
    """Of the contents: a file that was replaced under its old name is another start."""
    weights = find_weights(params)
    if weights.is_dir() or (params.backbone.checkpoint is None and params.backbone.clip == "small"):
        return folder_hash(weights if weights.is_dir() else weights.parent)
    return file_hash(weights)
