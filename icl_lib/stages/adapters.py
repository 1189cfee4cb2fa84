"""The stage of notebook 02: Yes/No pairs, the LoRA adapter, its threshold, and how well it judges."""

from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.manifest import captions, fingerprint, images, nonempty
from icl_lib.mllm.load import load_mllm
from icl_lib.mllm.lora import train_adapter
from icl_lib.mllm.pairs import mine_pairs
from icl_lib.mllm.weights import model_folder, served
from icl_lib.mllm.yes_no import choose_threshold, judge_metrics
from icl_lib.params import Params
from icl_lib.results import folder_hash, read_json, update_summary, write_json
from icl_lib.retrieval.backbone import Backbone
from icl_lib.retrieval.load import load_backbone
from icl_lib.retrieval.metrics import ranking
from icl_lib.stages.backbones import baseline
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import data

JUDGED = 1000  # captions of val and test that Yes/No is measured on: enough for intervals of a point or two


def pairs(params: Params, split: str, variant: str = "") -> pd.DataFrame:
    """Yes/No pairs of Eq. 3 of one split, its hard negatives from the baseline's Top-10."""
    manifest = nonempty(data(params), split)
    table, gallery = captions(manifest, split), images(manifest, split)
    sim = _similarity(load_backbone(params, baseline(params, variant)), table, gallery)
    limit, draws = (params.sft.pairs, params.sft.draws) if split == "train" else (JUDGED, 1)
    return mine_pairs(
        table, gallery, sim, params.sft.top_k, np.random.default_rng(params.seed), limit, draws
    )


def adapter(params: Params, variant: str = "") -> Path:
    """The LoRA adapter (Eq. 3), with `threshold.json`: the P(Yes) above which an answer counts as Yes, chosen on val.

    A server's adapter was trained elsewhere: the folder then holds the threshold alone.
    """
    on_server = (
        {"adapter": served(params, adapter=True)[1]} if params.mllm.backend == "server" else {}
    )
    manifest, miner = data(params), baseline(params, variant)

    def build(folder: Path) -> None:
        if not on_server:
            train_adapter(params, pairs(params, "train", variant), folder)
        threshold = params.sft.threshold
        if threshold is None:
            judged = judge(
                params, load_mllm(params, folder), candidates(params, "val", variant=variant)
            )
            threshold = choose_threshold(judged["label"], judged["p"])
        write_json(
            folder / "threshold.json",
            {
                "threshold": threshold,
                "chosen_on": "val" if params.sft.threshold is None else "params",
            },
        )

    key = {
        **params.key("sft", "mllm"),
        "data": fingerprint(manifest),
        "miner": miner.name,
        "model": _model_hash(params),
        **on_server,
    }
    return stage(params, "adapter", key, build, variant)


def threshold(params: Params, variant: str = "") -> float:
    """The adapter's threshold on P(Yes)."""
    return read_json(adapter(params, variant) / "threshold.json")["threshold"]


def candidates(params: Params, split: str, queries: int = 300, variant: str = "") -> pd.DataFrame:
    """The baseline's whole Top-10 of up to `queries` captions of a split, as pairs: what the MLLM is asked in THI."""
    manifest = nonempty(data(params), split)
    table, gallery = captions(manifest, split), images(manifest, split)
    if len(table) > queries:
        table = table.sample(queries, random_state=params.seed).sort_index()
    sim = _similarity(load_backbone(params, baseline(params, variant)), table, gallery)
    columns = ranking(sim, params.sft.top_k)
    rows = np.repeat(np.arange(len(table)), columns.shape[1])
    found = gallery.iloc[columns.ravel()]
    return pd.DataFrame(
        {
            "path": found["path"].to_numpy(),
            "caption": table["caption"].to_numpy()[rows],
            "label": (found["pid"].to_numpy() == table["pid"].to_numpy()[rows]).astype(int),
            "rank": np.tile(np.arange(1, columns.shape[1] + 1), len(table)),
            "sim": np.take_along_axis(sim, columns, 1).ravel(),
            "pid": table["pid"].to_numpy()[rows],
            "image_pid": found["pid"].to_numpy(),
        }
    )


def judge(params: Params, mllm, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a column `p`: P(Yes) of every pair by `mllm`."""
    return table.assign(p=mllm.p_yes(table["path"].tolist(), table["caption"].tolist()))


def judged(params: Params) -> dict[str, pd.DataFrame]:
    """Held-out test pairs judged by the raw and by the adapted model; fills mllm.raw and mllm.lora of the summary.

    "pairs_raw", "pairs_lora": the miner's balanced pairs. "top10_raw", "top10_lora": the baseline's own Top-10.
    """
    folder, limit = adapter(params), threshold(params)
    tables = {"pairs": pairs(params, "test"), "top10": candidates(params, "test")}
    out = {}
    for who, used in (("raw", None), ("lora", folder)):
        mllm, cut = load_mllm(params, used), limit if used else 0.5
        for kind, table in tables.items():
            out[f"{kind}_{who}"] = judge(params, mllm, table)
        told = judge_metrics(out[f"pairs_{who}"]["label"], out[f"pairs_{who}"]["p"], cut)
        top10 = judge_metrics(out[f"top10_{who}"]["label"], out[f"top10_{who}"]["p"], cut)
        update_summary(params, f"mllm.{who}", {**told, "threshold": cut, "top10": top10})
    sim_auc = judge_metrics(tables["top10"]["label"], (tables["top10"]["sim"] + 1) / 2)["AUC"]
    update_summary(params, "mllm.similarity_top10_AUC", sim_auc)
    return out


def _similarity(f: Backbone, queries: pd.DataFrame, gallery: pd.DataFrame) -> np.ndarray:
    return f.encode_texts(queries["caption"].tolist()) @ f.encode_images(gallery["path"].tolist()).T


def _model_hash(params: Params) -> str:
    if params.mllm.backend == "server":
        return served(params)[1] + ("" if params.server.logprobs else " by word")
    return folder_hash(model_folder(params))
