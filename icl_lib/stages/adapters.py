"""The stage of notebook 02: Yes/No pairs, the LoRA adapter, and how its answers are read."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data import fingerprint
from icl_lib.mllm import MLLM, load_mllm
from icl_lib.mllm.calibration import Calibration, fit
from icl_lib.mllm.load import ANSWERING, load_calibration
from icl_lib.mllm.lora import train_adapter
from icl_lib.mllm.pairs import mine_pairs
from icl_lib.mllm.weights import model_folder, served
from icl_lib.mllm.yes_no import (
    brier_score,
    calibration_error,
    choose_threshold,
    judge_metrics,
)
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
    """The folder of the LoRA adapter (Eq. 3) and of threshold.json, see `answering`.

    An adapter behind a server is trained elsewhere, so its folder holds only threshold.json.
    """
    on_server = params.mllm.backend == "server"
    # A server without an adapter is refused here, before the baseline is trained.
    served_name = {"adapter": served(params, adapter=True)[1]} if on_server else {}
    manifest, miner = data(params), baseline(params, variant)

    def build(folder: Path) -> None:
        if not on_server:
            train_adapter(params, pairs(params, "train", variant), folder)
        mllm = load_mllm(params, folder)
        _fit_answers(params, mllm, folder, variant)

    key = {
        **params.key("sft", "mllm"),
        "data": fingerprint(manifest),
        "miner": miner.name,
        "model": mllm_hash(params),
        **served_name,
    }
    return stage(params, "adapter", key, build, variant)


def answering(params: Params, lora: bool = True, variant: str = "") -> Path:
    """The folder of threshold.json, which says how the answers of an MLLM are read.

    It holds `slope` and `offset` of P(Yes)'s calibration and `threshold`, the calibrated P(Yes)
    above which an answer counts as Yes. All are fitted on val, on the baseline's first candidates
    of up to 300 captions, in the same way for the adapted and for the raw MLLM. `sft.threshold`, a
    threshold on P(Yes) as the MLLM says it, takes the place of the chosen one for both; then a
    benchmark without val is left uncalibrated.
    """
    if lora:
        return adapter(params, variant)
    miner = baseline(params, variant)

    def build(folder: Path) -> None:
        _fit_answers(params, load_mllm(params), folder, variant)

    key = {
        **params.key("mllm"),
        "data": fingerprint(data(params)),
        "miner": miner.name,
        "model": mllm_hash(params),
        "top_k": params.sft.top_k,
        "threshold": params.sft.threshold,
    }
    return stage(params, "answering-raw", key, build, variant)


def asker(params: Params, lora: bool = True, variant: str = "") -> MLLM:
    """The MLLM that answers Yes or No, adapted or raw, with calibrated P(Yes)."""
    folder = answering(params, lora, variant)
    return load_mllm(params, folder if lora else None, folder)


def threshold(params: Params, variant: str = "", lora: bool = True) -> float:
    """The calibrated P(Yes) above which an answer of the adapted or the raw MLLM counts as Yes."""
    return read_json(answering(params, lora, variant) / ANSWERING)["threshold"]


def _fit_answers(params: Params, mllm: MLLM, folder: Path, variant: str) -> None:
    """Write threshold.json: fit the calibration on val, and choose the threshold unless given."""
    given, calibration, val = params.sft.threshold, Calibration(), None
    if given is None or (data(params)["split"] == "val").any():
        val = judge(params, mllm, candidates(params, "val", variant=variant))
        calibration = fit(val["label"], val["p"])
    if given is None:
        limit, chosen_on = choose_threshold(val["label"], calibration(val["p"])), "val"
    else:
        limit, chosen_on = float(calibration(given)), "params"
    told = {"threshold": limit, "chosen_on": chosen_on, **asdict(calibration)}
    write_json(folder / ANSWERING, told)


def judge(params: Params, mllm: MLLM, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a column `p`: P(Yes) of each pair by `mllm`."""
    return table.assign(p=mllm.p_yes(table["path"].tolist(), table["caption"].tolist()))


def judged(params: Params) -> dict[str, pd.DataFrame]:
    """Pairs of test people judged by the raw and the adapted MLLM; writes mllm.* of summary.json.

    The tables have the columns `said`, P(Yes) as the MLLM says it, and `p`, calibrated.

    Returns:
        "pairs_raw" and "pairs_lora": the balanced pairs of `pairs`; "top10_raw" and "top10_lora":
        the baseline's candidates of `candidates`.
    """
    tables = {"pairs": pairs(params, "test"), "top10": candidates(params, "test")}
    out = {}
    for who, lora in (("raw", False), ("lora", True)):
        folder, cut, metrics = answering(params, lora), threshold(params, lora=lora), {}
        mllm = load_mllm(params, folder if lora else None)
        calibration = load_calibration(folder)
        mllm.calibration = Calibration()
        for kind, table in tables.items():
            answered = judge(params, mllm, table).rename(columns={"p": "said"})
            answered["p"] = calibration(answered["said"])
            out[f"{kind}_{who}"] = answered
            metrics[kind] = judge_metrics(answered["label"], answered["p"], cut)
        top10 = out[f"top10_{who}"]
        for when, column in (("before", "said"), ("after", "p")):
            metrics["top10"] |= {
                f"brier_{when}": brier_score(top10["label"], top10[column]),
                f"ECE_{when}": calibration_error(top10["label"], top10[column]),
            }
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
