"""What each notebook makes. A stage makes or finds its prerequisites, says which, and is made once for its causes.

data -> baseline (03) -> adapter (02) -> interaction (04, 05)
data -> reorganised (01) -> backbone (03) -> interaction
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from icl_lib import rda as rda_steps
from icl_lib import thi
from icl_lib.cost import count_tokens
from icl_lib.data import read_benchmark
from icl_lib.data.benchmarks import PATH_KEYS
from icl_lib.data.manifest import captions, fingerprint, hold_out, images, nonempty
from icl_lib.data.standin import make_standin
from icl_lib.mllm.load import load_mllm, model_folder, served
from icl_lib.mllm.pairs import choose_threshold, judge_metrics, mine_pairs
from icl_lib.mllm.sft import train_adapter
from icl_lib.mllm.tasks import decompose, describe
from icl_lib.params import Params, digest
from icl_lib.report.live import live_curve
from icl_lib.results import (file_hash, folder_hash, is_made, locked, made, read_json, record_seconds, update_summary, versions,
                             write_json)
from icl_lib.retrieval.clip_files import find_weights
from icl_lib.retrieval.gallery import ranking
from icl_lib.retrieval.metrics import per_query_metrics, with_intervals
from icl_lib.retrieval.models import Backbone, load_backbone
from icl_lib.retrieval.train import noise_key, similarity, train_backbone

JUDGED = 1000  # captions of val and test that Yes/No is measured on: enough for intervals of a point or two
_TOLD: set[Path] = set()  # folders that this process has spoken of


def prerequisites(params: Params) -> None:
    """Raises one FileNotFoundError that lists all that is missing of data and weights, and how to get each."""
    missing = []
    for look in (lambda: None if params.data.standin else read_benchmark(params.dataset, params.data_root),
                 lambda: find_weights(params), lambda: params.mllm.backend == "server" or model_folder(params)):
        try:
            look()
        except FileNotFoundError as problem:
            missing.append(str(problem))
    if missing:
        raise FileNotFoundError(
            f"Profile {params.profile!r} on {params.data.title} lacks {len(missing)} of data, CLIP weights and MLLM; nothing is "
            "downloaded by itself.\n\n" + "\n\n".join(f"{i}. {text}" for i, text in enumerate(missing, 1)))


def data(params: Params) -> pd.DataFrame:
    """The manifest of the benchmark, or of its stand-in, which is drawn on the first call.

    A benchmark without a val split gets one: data.val_from_train identities held out of train.
    """
    root, has_val = params.data_root, params.data.expected.ids[1] > 0
    if params.data.standin:
        with locked(root):
            if not (root / params.data.annotation).is_file():
                start = time.monotonic()
                sizes = {"train": params.data.ids_train, "val": params.data.ids_val, "test": params.data.ids_test}
                if not has_val:  # drawn as train, from which they are held out below
                    sizes["train"] += sizes.pop("val")
                make_standin(params.dataset, root, sizes, images_per_id=params.data.images_per_id)
                record_seconds(params, "data", time.monotonic() - start)
    else:
        prerequisites(params)
    manifest = read_benchmark(params.dataset, root, strict=params.data.strict)
    wanted = params.data.val_from_train
    return manifest if has_val else hold_out(manifest, (params.data.ids_val or 0) if wanted is None else wanted)


def baseline(params: Params, variant: str = "") -> Path:
    """The backbone trained on the original captions alone (Table 6, row 4; the miner of Eq. 3).

    variant: what sets this training apart from the run's own ("seed1", "noisy"); its time is not the run's.
    """
    params = params.model_copy(update={"backbone": params.backbone.model_copy(update={"rda": False})})
    manifest = data(params)
    return stage(params, "baseline", _backbone_key(params, manifest),
                  lambda folder: train_backbone(params, manifest, folder, on_epoch=live_curve(params.backbone.epochs)), variant)


def reorganised(params: Params) -> dict[int, dict]:
    """RDA of every training caption: {caption_id: {vqa, enriched, sentences, parts}} (see `icl_lib.rda.augment`)."""
    train = captions(data(params), "train")
    mllm = load_mllm(params)

    def build(folder: Path) -> None:
        texts = rda_steps.augment(train, mllm, folder, params.rda.rewrites)
        rda_steps.write_diversity(train, {i: row["parts"] for i, row in texts.items()}, folder / "diversity.json", params.data_root,
                                   PATH_KEYS[params.dataset])
        write_json(folder / "parse_report.json", dict(mllm.parse_report))

    # No seed: M writes greedily, and what is drawn from its texts is drawn in training.
    key = {"rewrites": params.rda.rewrites, "data": fingerprint(train), "mllm": mllm.writer_name, "prompts": mllm.prompts.hash}
    folder = stage(params, "rda", key, build)
    return rda_steps.augment(train, mllm, folder, params.rda.rewrites)


def checked(params: Params) -> pd.DataFrame:
    """RDA's distinct sub-sentences, each asked about its picture: path, text, captioned, p.

    captioned: whether a caption of the picture says it (see `icl_lib.rda.sub_sentences`); p: P(Yes) of the unadapted model.
    """
    train, mllm = captions(data(params), "train"), load_mllm(params)
    table = rda_steps.sub_sentences(reorganised(params), train, decompose(mllm, train["caption"].tolist()))
    return table.assign(p=mllm.p_yes(table["path"].tolist(), table["text"].tolist()))


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
        texts = {i: {"parts": known.get(i, [[text]])} for i, text in zip(train["caption_id"].astype(int), train["caption"])}
        print(f"{path.name} has texts for {len(known):,} of {len(train):,} training captions")
    else:
        texts, mllm = reorganised(params), load_mllm(params)
        key = {"writer": mllm.writer_name, "prompts": mllm.prompts.hash}
        if params.rda.drop is not None:
            texts = rda_steps.without_least(texts, captions(manifest, "train"), checked(params), params.rda.drop)
    parts = {i: row["parts"] for i, row in texts.items()}
    return stage(params, "backbone", {**_backbone_key(params, manifest), "rda": params.key("rda", "mllm"), **key},
                  lambda folder: train_backbone(params, manifest, folder, parts, live_curve(params.backbone.epochs)), variant)


def pairs(params: Params, split: str, variant: str = "") -> pd.DataFrame:
    """Yes/No pairs of Eq. 3 of one split, its hard negatives from the baseline's Top-10."""
    manifest = nonempty(data(params), split)
    table, gallery = captions(manifest, split), images(manifest, split)
    sim = _similarity(load_backbone(params, baseline(params, variant)), table, gallery)
    limit, draws = (params.sft.pairs, params.sft.draws) if split == "train" else (JUDGED, 1)
    return mine_pairs(table, gallery, sim, params.sft.top_k, np.random.default_rng(params.seed), limit, draws)


def adapter(params: Params, variant: str = "") -> Path:
    """The LoRA adapter (Eq. 3), with `threshold.json`: the P(Yes) above which an answer counts as Yes, chosen on val.

    A server's adapter was trained elsewhere: the folder then holds the threshold alone.
    """
    on_server = {"adapter": served(params, adapter=True)[1]} if params.mllm.backend == "server" else {}
    manifest, miner = data(params), baseline(params, variant)

    def build(folder: Path) -> None:
        if not on_server:
            train_adapter(params, pairs(params, "train", variant), folder)
        threshold = params.sft.threshold
        if threshold is None:
            judged = judge(params, load_mllm(params, folder), candidates(params, "val", variant=variant))
            threshold = choose_threshold(judged["label"], judged["p"])
        write_json(folder / "threshold.json", {"threshold": threshold, "chosen_on": "val" if params.sft.threshold is None else "params"})

    key = {**params.key("sft", "mllm"), "data": fingerprint(manifest), "miner": miner.name, "model": _model_hash(params), **on_server}
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
    return pd.DataFrame({"path": found["path"].to_numpy(), "caption": table["caption"].to_numpy()[rows],
                         "label": (found["pid"].to_numpy() == table["pid"].to_numpy()[rows]).astype(int),
                         "rank": np.tile(np.arange(1, columns.shape[1] + 1), len(table)), "sim": np.take_along_axis(sim, columns, 1).ravel(),
                         "pid": table["pid"].to_numpy()[rows], "image_pid": found["pid"].to_numpy()})


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
        mllm, cut = load_mllm(params, used), limit if used else .5
        for kind, table in tables.items():
            out[f"{kind}_{who}"] = judge(params, mllm, table)
        told = judge_metrics(out[f"pairs_{who}"]["label"], out[f"pairs_{who}"]["p"], cut)
        top10 = judge_metrics(out[f"top10_{who}"]["label"], out[f"top10_{who}"]["p"], cut)
        update_summary(params, f"mllm.{who}", {**told, "threshold": cut, "top10": top10})
    sim_auc = judge_metrics(tables["top10"]["label"], (tables["top10"]["sim"] + 1) / 2)["AUC"]
    update_summary(params, "mllm.similarity_top10_AUC", sim_auc)
    return out


def measured(params: Params, folder: Path) -> dict[str, np.ndarray]:
    """Test metrics of a backbone, query by query."""
    return per_query_metrics(*similarity(load_backbone(params, folder), data(params), "test"))


def evaluated(params: Params, folder: Path, name: str) -> dict[str, np.ndarray]:
    """`measured`, and what fills backbone.<name> of the summary."""
    values = measured(params, folder)
    picked = read_json(folder / "training.json")["selected_on"]
    update_summary(params, f"backbone.{name}", {**with_intervals(values), "selected_on": picked})
    return values


@dataclass(frozen=True, eq=False)
class Interaction:
    """One split's THI before (K, xi, lambda) are fixed: rankings, answers, refined texts.

    queries: table of Q captions; gallery: table of G images; sim, sim_refined [Q, G]; texts [Q] refined queries (Eq. 5);
    answers [Q]: what was said of the anchor-to-be, or None. folder: where trace and answers lie. seconds_refining: what
    describing and merging took, None where it was not measured. vectors [G, D] of the gallery; change: a variant's `replay`
    in Algorithm 1's place (see `icl_lib.beyond.changed`).
    """

    queries: pd.DataFrame
    gallery: pd.DataFrame
    sim: np.ndarray
    sim_refined: np.ndarray
    trace: thi.Trace
    texts: list[str]
    answers: list
    folder: Path | None = None
    seconds_refining: float | None = None
    vectors: np.ndarray | None = None
    change: Callable | None = None

    @property
    def pids(self) -> tuple[np.ndarray, np.ndarray]:
        """query_pids [Q], gallery_pids [G]."""
        return self.queries["pid"].to_numpy(), self.gallery["pid"].to_numpy()

    def grid(self, Ks, xis, lams) -> pd.DataFrame:
        """Every (K, xi, lambda) replayed: see `icl_lib.thi.grid`."""
        return thi.grid(self.sim, self.sim_refined, self.trace, *self.pids, Ks, xis, lams)

    def replay(self, K: int, xi: float, lam: float) -> tuple[np.ndarray, np.ndarray]:
        """(final [Q, G], anchor [Q]) by Algorithm 1, or by `change`."""
        return (self.change or thi.replay)(self.sim, self.sim_refined, self.trace, K, xi, lam)

    def per_query(self, K: int, xi: float, lam: float) -> dict[str, np.ndarray]:
        """Metrics query by query after THI, and `anchor` [Q]."""
        final, anchor = self.replay(K, xi, lam)
        return {**per_query_metrics(final, *self.pids), "anchor": anchor}


def interaction(params: Params, split: str, lora: bool = True, rda: bool = True, variant: str = "") -> Interaction:
    """The trace and the refined texts of a split, asked to depth thi.k_max.

    lora=False asks the raw model; rda=False starts from the baseline's ranking. variant: as for `baseline`.
    """
    manifest = nonempty(data(params), split)
    model, asker = (backbone if rda else baseline)(params, variant), adapter(params, variant) if lora else None
    limit = threshold(params, variant) if lora else .5
    queries, gallery = captions(manifest, split), images(manifest, split)
    f = load_backbone(params, model)
    paths, texts = gallery["path"].tolist(), queries["caption"].tolist()
    pictures = f.encode_images(paths)
    sim = f.encode_texts(texts) @ pictures.T

    def build(folder: Path) -> None:
        mllm = load_mllm(params, asker)
        trace = thi.interact(texts, ranking(sim, params.thi.k_max), mllm, params.thi.k_max, limit, paths, folder)
        start = time.monotonic()
        refined, answers = thi.refine(texts, trace, mllm, paths)
        write_json(folder / "refined.json", {"texts": refined, "answers": answers, "seconds": round(time.monotonic() - start, 2)})

    name = f"thi-{split}{'' if lora else '-raw'}{'' if rda else '-without-rda'}"
    key = {**params.key("mllm"), "backbone": model.name, "asker": asker.name if asker else _model_hash(params), "split": split,
           "threshold": limit, "k_max": params.thi.k_max}
    folder = stage(params, name, key, build, variant)
    told = read_json(folder / "refined.json")
    sim_refined = f.encode_texts(told["texts"]) @ pictures.T
    return Interaction(queries, gallery, sim, sim_refined, thi.Trace.load(folder), told["texts"], told["answers"],
                       folder, told.get("seconds"), pictures)


def tokens(params: Params, run: Interaction) -> dict[str, np.ndarray] | None:
    """`icl_lib.cost.count_tokens` of an interaction, counted once; None where the MLLM shows no tokenizer."""
    def build(folder: Path) -> None:
        np.savez_compressed(folder / "tokens.npz", **(count_tokens(run, load_mllm(params)) or {}))

    with np.load(stage(params, "tokens", {"of": run.folder.name}, build) / "tokens.npz") as counted:
        return dict(counted) or None


def cards(params: Params, split: str) -> dict[int, dict]:
    """Gallery cards: M's description (Eq. 4) of every picture of a split, made ahead -> {image_id: answers}.

    They go through M's memory, so `thi.refine` finds them: a query then costs Yes/No and one merge. A killed run goes on
    where it stopped. cost.json beside them: pictures, asked (not known before), seconds that took, bytes of the cards.
    """
    manifest = nonempty(data(params), split)
    gallery, mllm = images(manifest, split), load_mllm(params)

    def build(folder: Path) -> None:
        start = time.monotonic()
        told = describe(mllm, gallery["path"].tolist())
        spent = time.monotonic() - start
        path = write_json(folder / "cards.json", dict(zip(map(str, gallery["image_id"]), told)))
        write_json(folder / "cost.json", {"pictures": len(told), "asked": mllm.misses, "seconds": round(spent, 2),
                                          "bytes": path.stat().st_size})

    key = {"data": fingerprint(manifest[manifest["split"] == split]), "mllm": mllm.writer_name, "prompts": mllm.prompts.hash,
           "max_new_tokens": params.mllm.max_new_tokens}
    folder = stage(params, f"cards-{split}", key, build)
    update_summary(params, f"cards.{split}", read_json(folder / "cost.json"))
    return {int(image): answers for image, answers in read_json(folder / "cards.json").items()}


def timing(params: Params, name: str, about: dict, measure: Callable[[], pd.DataFrame], attempt: int = 0) -> pd.DataFrame:
    """The table of times that `measure()` gives, kept: a second run shows the first one's and has the MLLM do nothing again.

    about: all that the times depend on (JSON-like); the machine and the versions of everything count besides. Another `attempt`
    measures anew. The table's index needs a name, or is 0, 1, 2, ….
    """
    def build(folder: Path) -> None:
        table = measure()
        names = [level for level in table.index.names if level is not None]
        rows = (table.reset_index() if names else table).to_dict("list")
        write_json(folder / "times.json", {"index": names, "attrs": table.attrs, "columns": rows})

    machine = {"cpu": platform.processor(), "node": platform.node(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
               "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None}
    folder = made(params, f"times-{name}", {**about, "machine": machine, "versions": versions(), "attempt": attempt}, build)
    kept = read_json(folder / "times.json")
    table = pd.DataFrame(kept["columns"])
    table.attrs = kept["attrs"]
    return table.set_index(kept["index"]) if kept["index"] else table


def xi_grid(run: Interaction, points: int = 11) -> list[float]:
    """Thresholds worth trying: quantiles of the Top-1 similarities, from none above xi to all (xi above every query)."""
    top = run.sim.max(1)
    return [round(float(q), 4) for q in np.quantile(top, np.linspace(0, 1, points))[:-1]] + [1.0]


def chosen(params: Params, val: Interaction) -> dict:
    """K, xi and lambda: the params' own where given, else the best on val by Rank-1 + mAP (ties: less questions)."""
    xis = [params.thi.xi] if params.thi.xi is not None else xi_grid(val)
    lams = [params.thi.lam] if params.thi.lam is not None else [round(.1 * i, 1) for i in range(11)]
    table = val.grid([params.thi.K], xis, lams)
    best = table.assign(score=table["rank1"] + table["mAP"]).sort_values(["score", "questions"], ascending=[False, True]).iloc[0]
    return {"K": int(best["K"]), "xi": float(best["xi"]), "lam": float(best["lam"])}


def final(params: Params) -> tuple[dict, Interaction, dict]:
    """(chosen K, xi, lambda; the test split's interaction; metrics query by query); fills thi.final and cost.

    With thi.variant the interaction's `replay` is that variant's, its parameter chosen on val.
    """
    val, run, told = interaction(params, "val"), interaction(params, "test"), {}
    point = chosen(params, val)
    if params.thi.variant is not None:
        from icl_lib import beyond  # it stands on this module

        told = {"variant": params.thi.variant, "variant_value": beyond.chosen_value(params, val, params.thi.variant, point)}
        run = beyond.changed(params, run, "test", params.thi.variant, told["variant_value"])
    values = run.per_query(**point)
    picked = read_json(backbone(params) / "training.json")["selected_on"]
    update_summary(params, "thi.final", {**with_intervals(values), **point, **told, "selected_on": picked})
    update_summary(params, "cost", cost(run, point, values["anchor"]))
    return point, run, values


def cost(run: Interaction, point: dict, anchor: np.ndarray) -> dict:
    """What a split's THI cost at a point that gave `anchor` [Q]; seconds_asking is the whole trace's."""
    top = run.sim.max(1)
    asked, released = (int(count(top, run.trace, point["K"], point["xi"]).sum()) for count in (thi.questions, thi.released_questions))
    return {"questions": asked, "queries": len(top), "seconds_asking": round(float(np.nansum(run.trace.seconds)), 2),
            "released_questions": released, "pictures_described": int(len({a for a in anchor if a >= 0}))}


def _similarity(f: Backbone, queries: pd.DataFrame, gallery: pd.DataFrame) -> np.ndarray:
    return f.encode_texts(queries["caption"].tolist()) @ f.encode_images(gallery["path"].tolist()).T


def _backbone_key(params: Params, manifest: pd.DataFrame) -> dict:
    return {**params.key("backbone"), **noise_key(params), "data": fingerprint(manifest), "weights": _weights_hash(params)}


def _weights_hash(params: Params) -> str:
    """Of the contents: a file that was replaced under its old name is another start."""
    weights = find_weights(params)
    if weights.is_dir() or params.backbone.checkpoint is None and params.backbone.clip == "small":
        return folder_hash(weights if weights.is_dir() else weights.parent)
    return file_hash(weights)


def _model_hash(params: Params) -> str:
    if params.mllm.backend == "server":
        return served(params)[1] + ("" if params.server.logprobs else " by word")
    return folder_hash(model_folder(params))


def stage(params: Params, name: str, key: dict, build, variant: str = "") -> Path:
    """`made`, with a line that says what was found or made."""
    name = f"{name}-{variant}" if variant else name
    found = is_made(params, name, key)
    start = time.monotonic()
    folder = made(params, name, key, build)
    seconds = time.monotonic() - start
    if not found and not variant:
        record_seconds(params, name, seconds)
    if folder not in _TOLD:
        print(f"made {folder.name} in {seconds:.0f} s" if not found else f"found {folder.name}", flush=True)
        _TOLD.add(folder)
    return folder
