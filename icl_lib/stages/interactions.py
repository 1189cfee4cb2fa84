"""What each notebook makes. A stage makes or finds its prerequisites, says which, and is made once for its causes.

data -> baseline (03) -> adapter (02) -> interaction (04, 05)
data -> reorganised (01) -> backbone (03) -> interaction
"""

import time
from pathlib import Path

import numpy as np

from icl_lib import thi
from icl_lib.data.manifest import captions, fingerprint, images, nonempty
from icl_lib.mllm.load import load_mllm
from icl_lib.mllm.tasks import describe
from icl_lib.params import Params
from icl_lib.results import read_json, update_summary, write_json
from icl_lib.retrieval.load import load_backbone
from icl_lib.retrieval.metrics import ranking
from icl_lib.stages.adapters import _model_hash, adapter, threshold
from icl_lib.stages.backbones import backbone, baseline
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import data
from icl_lib.thi.cost import count_tokens
from icl_lib.thi.interaction import Interaction


def interaction(
    params: Params, split: str, lora: bool = True, rda: bool = True, variant: str = ""
) -> Interaction:
    """The trace and the refined texts of a split, asked to depth thi.k_max.

    lora=False asks the raw model; rda=False starts from the baseline's ranking. variant: as for `baseline`.
    """
    manifest = nonempty(data(params), split)
    model, asker = (
        (backbone if rda else baseline)(params, variant),
        adapter(params, variant) if lora else None,
    )
    limit = threshold(params, variant) if lora else 0.5
    queries, gallery = captions(manifest, split), images(manifest, split)
    f = load_backbone(params, model)
    paths, texts = gallery["path"].tolist(), queries["caption"].tolist()
    pictures = f.encode_images(paths)
    sim = f.encode_texts(texts) @ pictures.T

    def build(folder: Path) -> None:
        mllm = load_mllm(params, asker)
        trace = thi.interact(
            texts, ranking(sim, params.thi.k_max), mllm, params.thi.k_max, limit, paths, folder
        )
        start = time.monotonic()
        refined, answers = thi.refine(texts, trace, mllm, paths)
        write_json(
            folder / "refined.json",
            {"texts": refined, "answers": answers, "seconds": round(time.monotonic() - start, 2)},
        )

    name = f"thi-{split}{'' if lora else '-raw'}{'' if rda else '-without-rda'}"
    key = {
        **params.key("mllm"),
        "backbone": model.name,
        "asker": asker.name if asker else _model_hash(params),
        "split": split,
        "threshold": limit,
        "k_max": params.thi.k_max,
    }
    folder = stage(params, name, key, build, variant)
    told = read_json(folder / "refined.json")
    sim_refined = f.encode_texts(told["texts"]) @ pictures.T
    return Interaction(
        queries,
        gallery,
        sim,
        sim_refined,
        thi.Trace.load(folder),
        told["texts"],
        told["answers"],
        folder,
        told.get("seconds"),
        pictures,
    )


def tokens(params: Params, run: Interaction) -> dict[str, np.ndarray] | None:
    """`icl_lib.thi.cost.count_tokens` of an interaction, counted once; None where the MLLM shows no tokenizer."""

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
        write_json(
            folder / "cost.json",
            {
                "pictures": len(told),
                "asked": mllm.misses,
                "seconds": round(spent, 2),
                "bytes": path.stat().st_size,
            },
        )

    key = {
        "data": fingerprint(manifest[manifest["split"] == split]),
        "mllm": mllm.writer_name,
        "prompts": mllm.prompts.hash,
        "max_new_tokens": params.mllm.max_new_tokens,
    }
    folder = stage(params, f"cards-{split}", key, build)
    update_summary(params, f"cards.{split}", read_json(folder / "cost.json"))
    return {int(image): answers for image, answers in read_json(folder / "cards.json").items()}


def xi_grid(run: Interaction, points: int = 11) -> list[float]:
    """Thresholds worth trying: quantiles of the Top-1 similarities, from none above xi to all (xi above every query)."""
    top = run.sim.max(1)
    return [round(float(q), 4) for q in np.quantile(top, np.linspace(0, 1, points))[:-1]] + [1.0]


def chosen(params: Params, val: Interaction) -> dict:
    """K, xi and lambda: the params' own where given, else the best on val by Rank-1 + mAP (ties: less questions)."""
    xis = [params.thi.xi] if params.thi.xi is not None else xi_grid(val)
    lams = (
        [params.thi.lam] if params.thi.lam is not None else [round(0.1 * i, 1) for i in range(11)]
    )
    table = val.grid([params.thi.K], xis, lams)
    best = (
        table.assign(score=table["rank1"] + table["mAP"])
        .sort_values(["score", "questions"], ascending=[False, True])
        .iloc[0]
    )
    return {"K": int(best["K"]), "xi": float(best["xi"]), "lam": float(best["lam"])}
