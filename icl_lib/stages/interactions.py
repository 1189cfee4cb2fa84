"""The stage of notebook 04: traces, refined queries, and K, xi and lambda chosen on val."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from icl_lib.data.manifest import fingerprint, images, nonempty
from icl_lib.mllm import describe, load_mllm
from icl_lib.mllm.load import ANSWERING
from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.results import read_json, update_summary, write_json
from icl_lib.retrieval import load_backbone
from icl_lib.retrieval.metrics import ranking
from icl_lib.retrieval.plug_in import Ranked, rank_with, ranked
from icl_lib.stages.adapters import answering, asker, mllm_hash
from icl_lib.stages.backbones import backbone, baseline
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import data, queries_and_gallery
from icl_lib.thi import Interaction, Trace, interact, refine
from icl_lib.thi.cost import count_tokens
from icl_lib.thi.sweep import LAMBDAS, best_point

KEPT = 4  # encodings kept in memory: val and test by the backbones with and without RDA


def interaction(
    params: Params, split: str, lora: bool = True, rda: bool = True, variant: str = ""
) -> Interaction:
    """The trace and the refined queries of a split; at most thi.k_max questions per query.

    Args:
        params: the settings of the run.
        split: val or test.
        lora: ask the adapted MLLM; False asks the raw one.
        rda: rank by the backbone with RDA; False ranks by the baseline.
        variant: as for `icl_lib.stages.backbones.baseline`.
    """
    folder = (backbone if rda else baseline)(params, variant)
    rank, mark = partial(_ranked, params), "" if rda else "-without-rda"
    return _asked(params, split, rank, folder, folder.name, mark, lora, variant)


_RANKED: dict[tuple, Ranked] = {}  # by the last backbones and splits that this process asked for


def _ranked(params: Params, folder: Path, texts: list[str], paths: list[str]) -> Ranked:
    """`rank_with` the trained backbone in `folder`; not encoded again by the same process."""
    key = folder, digest([texts, paths])
    if key not in _RANKED:
        while len(_RANKED) >= KEPT:
            del _RANKED[next(iter(_RANKED))]
        found = rank_with(load_backbone(params, folder), texts, paths)
        again = lru_cache(KEPT)(lambda texts: found.encode_texts(texts))
        _RANKED[key] = replace(found, encode_texts=lambda texts: again(tuple(texts)))
    return _RANKED[key]


def plugged(
    params: Params, split: str, source, lora: bool = True, adapter_of: Params | None = None
) -> Interaction:
    """`interaction` with a retrieval model of one's own; the MLLM and its adapter are the run's.

    Without an encoder for new texts nothing is described or merged: Eq. 6 then only moves the
    anchor. Without vectors, an answer as evidence counts for its own picture only.

    Args:
        params: the settings of the run.
        split: val or test.
        source: a model with `encode_images(paths)` and `encode_texts(texts)`, which return unit
            vectors [N, D]; or a folder of features or similarities, see
            `icl_lib.retrieval.plug_in.rank_from`.
        lora: ask the adapted MLLM; False asks the raw one.
        adapter_of: the settings of another run, such as one on another data set, whose adapter,
            calibration and threshold are used. The further questions of evidence
            (`icl_lib.stages.evidence`) are asked with the adapter of `params`.
    """
    return _asked(params, split, ranked, source, None, "-own", lora, "", adapter_of)


def _asked(
    params: Params,
    split: str,
    rank: Callable,
    source,
    model: str | None,
    mark: str,
    lora: bool,
    variant: str,
    adapter_of: Params | None = None,
) -> Interaction:
    """The interaction of a split ranked by `rank(source, …)`; `model` stands for it in keys."""
    queries, gallery = queries_and_gallery(params, split)
    own = adapter_of or params
    answers = answering(own, lora, variant)
    reading = read_json(answers / ANSWERING)
    texts, paths = queries["caption"].tolist(), gallery["path"].tolist()
    f: Ranked = rank(source, texts, paths)
    depth = params.thi.k_max

    def build(folder: Path) -> None:
        mllm, limit = asker(own, lora, variant), reading["threshold"]
        trace = interact(texts, ranking(f.sim, depth), mllm, depth, limit, paths, folder)
        start, refined, answers = time.monotonic(), texts, [None] * len(texts)
        if f.encode_texts:
            refined, answers = refine(texts, trace, mllm, paths)
        seconds = round(time.monotonic() - start, 2)
        stored = {"texts": refined, "answers": answers, "seconds": seconds}
        write_json(folder / "refined.json", stored)

    key = {
        **params.key("mllm"),
        "backbone": model or f.name,
        "asker": answers.name if lora else mllm_hash(params),
        "split": split,
        **reading,
        "k_max": depth,
    }
    name = f"thi-{split}{'' if lora else '-raw'}{mark}"
    folder = stage(params, name, key, build, variant)
    stored = read_json(folder / "refined.json")
    refined = f.encode_texts(stored["texts"]) @ f.vectors.T if f.encode_texts else f.sim
    return Interaction(
        queries,
        gallery,
        f.sim,
        sim_refined=refined,
        trace=Trace.load(folder),
        texts=stored["texts"],
        answers=stored["answers"],
        folder=folder,
        seconds_refining=stored["seconds"],
        vectors=f.vectors,
    )


def whole_trace(
    params: Params, run: Interaction, split: str, lora: bool = True, variant: str = ""
) -> Trace:
    """The answers about all of the first thi.k_max candidates, beyond the first Yes too.

    What `run` asked already is in the MLLM's memory and is not asked again.
    """
    trace = run.trace

    def build(folder: Path) -> None:
        interact(
            run.queries["caption"].tolist(),
            trace.candidates,
            asker(params, lora, variant),
            trace.k_max,
            trace.threshold,
            run.gallery["path"].tolist(),
            folder,
            ask="all",
        )

    key = {"trace": run.folder.name}
    name = f"thi-{split}{'' if lora else '-raw'}-all"
    return Trace.load(stage(params, name, key, build, variant))


def xi_grid(run: Interaction, points: int = 11) -> list[float]:
    """Thresholds ξ to try: quantiles of the Top-1 similarity, and 1, which no query is above."""
    quantiles = np.quantile(run.sim.max(1), np.linspace(0, 1, points))
    return [round(float(q), 4) for q in quantiles[:-1]] + [1.0]


def chosen(params: Params, val: Interaction) -> dict:
    """K, xi and lam: those of the settings, or else the best on val, see `best_point`."""
    given = params.thi
    xis = xi_grid(val) if given.xi is None else [given.xi]
    lams = LAMBDAS if given.lam is None else [given.lam]
    return best_point(val.grid([given.K], xis, lams))


def tokens(params: Params, run: Interaction) -> dict[str, np.ndarray] | None:
    """Tokens that an interaction read and wrote, counted once; None if the MLLM shows no tokenizer.

    `icl_lib.thi.cost.count_tokens` explains the counts.
    """

    def build(folder: Path) -> None:
        np.savez_compressed(folder / "tokens.npz", **(count_tokens(run, load_mllm(params)) or {}))

    with np.load(stage(params, "tokens", {"of": run.folder.name}, build) / "tokens.npz") as counted:
        return dict(counted) or None


def cards(params: Params, split: str) -> dict[int, dict]:
    """Gallery cards: the MLLM's descriptions (Eq. 4) of all pictures of a split, made in advance.

    They are kept in the MLLM's memory, where `icl_lib.thi.refine` finds them, so that a query then
    costs only Yes/No questions and one merge. A killed run continues where it stopped. Writes
    cards.<split> of summary.json: pictures, how many of them were asked about, seconds and bytes.

    Returns:
        {image_id: answers}.
    """
    manifest = nonempty(data(params), split)
    gallery, mllm = images(manifest, split), load_mllm(params)

    def build(folder: Path) -> None:
        start = time.monotonic()
        described = describe(mllm, gallery["path"].tolist())
        cost = {
            "pictures": len(described),
            "asked": mllm.misses,
            "seconds": round(time.monotonic() - start, 2),
        }
        by_image = dict(zip(map(str, gallery["image_id"]), described, strict=True))
        file = write_json(folder / "cards.json", by_image)
        write_json(folder / "cost.json", {**cost, "bytes": file.stat().st_size})

    key = {
        "data": fingerprint(manifest[manifest["split"] == split]),
        "mllm": mllm.writer_name,
        "prompts": mllm.prompts.hash,
        "max_new_tokens": params.mllm.max_new_tokens,
    }
    folder = stage(params, f"cards-{split}", key, build)
    update_summary(params, f"cards.{split}", read_json(folder / "cost.json"))
    return {int(image): answers for image, answers in read_json(folder / "cards.json").items()}
