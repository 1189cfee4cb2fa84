"""The stage of notebook 02: Yes/No pairs, the LoRA adapter, its threshold and its accuracy."""

from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data import fingerprint
from icl_lib.mllm import MLLM, load_mllm
from icl_lib.mllm.lora import train_adapter
from icl_lib.mllm.pairs import mine_pairs
from icl_lib.mllm.weights import model_folder, served
from icl_lib.mllm.yes_no import choose_threshold, judge_metrics
from icl_lib.params import Params
from icl_lib.results import folder_hash, read_json, update_summary, write_json
from icl_lib.retrieval import load_backbone
from icl_lib.retrieval.metrics import ranking
from icl_lib.stages.backbones import baseline
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import data, queries_and_gallery

JUDGED = 1000  # captions of val or test judged by Yes/No: the 95% interval is a point or two wide


def pairs(params: Params, split: str, variant: str = "") -> pd.DataFrame:
    """Yes/No pairs of a split (Eq. 3), with hard negatives from the baseline's first candidates."""
    queries, gallery = queries_and_gallery(params, split)
    sim = _baseline_similarity(params, queries, gallery, variant)
    limit, draws = (params.sft.pairs, params.sft.draws) if split == "train" else (JUDGED, 1)
    rng = np.random.default_rng(params.seed)
    return mine_pairs(queries, gallery, sim, params.sft.top_k, rng, limit, draws)


def candidates(params: Params, split: str, queries: int = 300, variant: str = "") -> pd.DataFrame:
    """Pairs as THI asks about them: up to `queries` captions with the baseline's first candidates.

    Returns:
        Columns path, caption, label (1: same person), rank (from 1), sim, pid of the caption and
        image_pid of the picture; sft.top_k rows per caption.
    """
    table, gallery = queries_and_gallery(params, split)
    if len(table) > queries:
        table = table.sample(queries, random_state=params.seed).sort_index()
    sim = _baseline_similarity(params, table, gallery, variant)
    columns = ranking(sim, params.sft.top_k)
    asked = table.iloc[np.repeat(np.arange(len(table)), columns.shape[1])]
    found = gallery.iloc[columns.ravel()]
    return pd.DataFrame(
        {
            "path": found["path"].to_numpy(),
            "caption": asked["caption"].to_numpy(),
            "label": (found["pid"].to_numpy() == asked["pid"].to_numpy()).astype(int),
            "rank": np.tile(np.arange(1, columns.shape[1] + 1), len(table)),
            "sim": np.take_along_axis(sim, columns, 1).ravel(),
            "pid": asked["pid"].to_numpy(),
            "image_pid": found["pid"].to_numpy(),
        }
    )


def adapter(params: Params, variant: str = "") -> Path:
    """The folder of the LoRA adapter (Eq. 3) and of threshold.json.

    threshold.json holds the P(Yes) above which an answer counts as Yes: sft.threshold, or else
    chosen on val. An adapter behind a server is trained elsewhere, so its folder holds only the
    threshold.
    """
    on_server = params.mllm.backend == "server"
    # A server without an adapter is refused here, before the baseline is trained.
    served_name = {"adapter": served(params, adapter=True)[1]} if on_server else {}
    manifest, miner = data(params), baseline(params, variant)

    def build(folder: Path) -> None:
        if not on_server:
            train_adapter(params, pairs(params, "train", variant), folder)
        limit, chosen_on = params.sft.threshold, "params"
        if limit is None:
            val = candidates(params, "val", variant=variant)
            val = judge(params, load_mllm(params, folder), val)
            limit, chosen_on = choose_threshold(val["label"], val["p"]), "val"
        write_json(folder / "threshold.json", {"threshold": limit, "chosen_on": chosen_on})

    key = {
        **params.key("sft", "mllm"),
        "data": fingerprint(manifest),
        "miner": miner.name,
        "model": mllm_hash(params),
        **served_name,
    }
    return stage(params, "adapter", key, build, variant)


def threshold(params: Params, variant: str = "") -> float:
    """The P(Yes) above which an answer of the adapted MLLM counts as Yes."""
    return read_json(adapter(params, variant) / "threshold.json")["threshold"]


def judge(params: Params, mllm: MLLM, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a column `p`: P(Yes) of each pair by `mllm`."""
    return table.assign(p=mllm.p_yes(table["path"].tolist(), table["caption"].tolist()))


def judged(params: Params) -> dict[str, pd.DataFrame]:
    """Pairs of test people judged by the raw and the adapted MLLM; writes mllm.* of summary.json.

    Returns:
        "pairs_raw" and "pairs_lora": the balanced pairs of `pairs`; "top10_raw" and "top10_lora":
        the baseline's candidates of `candidates`.
    """
    folder, limit = adapter(params), threshold(params)
    tables = {"pairs": pairs(params, "test"), "top10": candidates(params, "test")}
    out = {}
    for who, used, cut in (("raw", None, 0.5), ("lora", folder, limit)):
        mllm, metrics = load_mllm(params, used), {}
        for kind, table in tables.items():
            answered = out[f"{kind}_{who}"] = judge(params, mllm, table)
            metrics[kind] = judge_metrics(answered["label"], answered["p"], cut)
        summary = {**metrics["pairs"], "threshold": cut, "top10": metrics["top10"]}
        update_summary(params, f"mllm.{who}", summary)
    top10 = tables["top10"]
    auc = judge_metrics(top10["label"], (top10["sim"] + 1) / 2)["AUC"]
    update_summary(params, "mllm.similarity_top10_AUC", auc)
    return out


def mllm_hash(params: Params) -> str:
    """The part of a key that stands for the MLLM without its adapter."""
    if params.mllm.backend == "server":
        return served(params)[1] + ("" if params.server.logprobs else " by word")
    return folder_hash(model_folder(params))


def _baseline_similarity(
    params: Params, queries: pd.DataFrame, gallery: pd.DataFrame, variant: str
) -> np.ndarray:
    """S [Q, G] by the baseline."""
    f = load_backbone(params, baseline(params, variant))
    return f.encode_texts(queries["caption"].tolist()) @ f.encode_images(gallery["path"].tolist()).T
