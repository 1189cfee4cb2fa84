"""What notebook 06 makes beside `icl_lib.stages`: what the variants need, and their parameter on val."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib import thi
from icl_lib.mllm.load import load_mllm
from icl_lib.mllm.tasks import aggregate
from icl_lib.params import Params
from icl_lib.results import file_hash, read_json, write_json
from icl_lib.retrieval.load import load_backbone
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.stages import adapters, backbones, made
from icl_lib.thi import contradictions, interaction, variants

SCORE = (
    "rank1",
    "rank5",
    "rank10",
    "mAP",
)  # errors are to vanish at every depth, not at the first place alone


def asked_to_the_end(
    params: Params, run: interaction.Interaction, split: str, lora: bool = True
) -> thi.Trace:
    """`run`'s trace of the first K candidates, behind the first Yes too (`ask="all"`); only what is missing is asked."""

    def build(folder: Path) -> None:
        for answered in run.folder.glob("answers-*.jsonl"):
            shutil.copy(answered, folder)
        mllm = load_mllm(params, adapters.adapter(params) if lora else None)
        thi.interact(
            run.queries["caption"].tolist(),
            run.trace.candidates[:, : params.thi.K],
            mllm,
            params.thi.K,
            run.trace.threshold,
            run.gallery["path"].tolist(),
            folder,
            ask="all",
        )

    key = {"trace": run.folder.name, "K": params.thi.K}
    return thi.Trace.load(
        made.stage(params, f"thi-{split}{'' if lora else '-raw'}-all", key, build)
    )


def prepared(
    params: Params, run: interaction.Interaction, split: str, name: str
) -> tuple[interaction.Interaction, dict]:
    """(the interaction that variant `name` replays, what its replay takes beside it), from `stages.interaction`'s `run`."""
    needs = variants.find(name).needs
    if needs == "best":
        whole = asked_to_the_end(params, run, split)
        return run, {
            "whole": whole,
            "sim_best": _encoded(params, run, _merged_with_best(params, split, run, whole)),
        }
    if needs == "adding":
        told = _merged_with_additions(params, split, run)
        run = replace(run, texts=told["texts"], sim_refined=_encoded(params, run, told["texts"]))
        return run, {"contradictions": np.array(told["contradictions"])}
    return run, {}


def changed(
    params: Params, run: interaction.Interaction, split: str, name: str, value: float
) -> interaction.Interaction:
    """`run` with variant `name` at `value` as its `replay`."""
    run, beside = prepared(params, run, split, name)
    return replace(run, change=partial(variants.find(name).replay, value=value, **beside))


def on_val(params: Params, val: interaction.Interaction, name: str, point: dict) -> pd.DataFrame:
    """Every value of the variant's parameter on val at `point`: rank1, rank5, rank10, mAP, their sum `score`, anchors."""
    (run, beside), variant = prepared(params, val, "val", name), variants.find(name)
    rows = []
    for value in variant.values:
        final, anchor = variant.replay(
            run.sim, run.sim_refined, run.trace, **point, value=value, **beside
        )
        metrics = per_query_metrics(final, *run.pids)
        rows.append(
            {
                "value": value,
                **{metric: metrics[metric].mean() for metric in SCORE},
                "anchors": int((anchor >= 0).sum()),
            }
        )
    return pd.DataFrame(rows).assign(score=lambda table: table[list(SCORE)].sum(axis=1))


def chosen_value(params: Params, val: interaction.Interaction, name: str, point: dict) -> float:
    """The value with the highest score on val; of equal ones the neutral, else the first."""
    return best_value(on_val(params, val, name, point), variants.find(name).neutral)


def best_value(table: pd.DataFrame, neutral: float) -> float:
    """The rule of `chosen_value` on a table of `on_val`."""
    best = table[np.isclose(table["score"], table["score"].max(), atol=1e-9)]["value"]
    return float(neutral if (best == neutral).any() else best.iloc[0])


def _merged_with_best(
    params: Params, split: str, run: interaction.Interaction, whole: thi.Trace
) -> list[str]:
    """[Q] texts merged with what the candidate of the highest P(Yes) shows, where it is another than the first Yes."""
    best = whole.p_yes.argmax(1)
    other = (whole.first_yes >= 0) & (best != whole.first_yes)
    alone = (np.arange(whole.k_max) == best[:, None]) & other[:, None]

    def build(folder: Path) -> None:
        chosen = replace(
            whole, p_yes=np.where(alone, whole.p_yes, np.nan), seconds=np.where(alone, 0.0, np.nan)
        )
        texts, _ = thi.refine(
            run.queries["caption"].tolist(), chosen, load_mllm(params), run.gallery["path"].tolist()
        )
        write_json(
            folder / "texts.json",
            [text if moved else kept for text, kept, moved in zip(texts, run.texts, other)],
        )

    key = {"trace": run.folder.name, "K": whole.k_max}
    return read_json(made.stage(params, f"thi-{split}-best", key, build) / "texts.json")


def _merged_with_additions(params: Params, split: str, run: interaction.Interaction) -> dict:
    """{"texts" [Q], "contradictions" [Q]}: only what adds to the query is merged, what contradicts it is counted."""
    asked = [q for q, answers in enumerate(run.answers) if answers is not None]
    captions = run.queries["caption"].tolist()

    def build(folder: Path) -> None:
        mllm, texts, against = load_mllm(params), list(captions), [0] * len(captions)
        adding = []
        for q in asked:
            adds, contradicts = contradictions.compare(
                run.answers[q], captions[q], mllm.prompts.says_something
            )
            adding.append({name: run.answers[q][name] for name in adds})
            against[q] = len(contradicts)
        for q, text in zip(asked, aggregate(mllm, adding, [captions[q] for q in asked])):
            texts[q] = text
        write_json(folder / "texts.json", {"texts": texts, "contradictions": against})

    key = {"trace": run.folder.name, "rule": file_hash(contradictions.__file__)}
    return read_json(made.stage(params, f"thi-{split}-adding", key, build) / "texts.json")


def _encoded(params: Params, run: interaction.Interaction, texts: list[str]) -> np.ndarray:
    """S(q̂, v) [Q, G] of refined texts."""
    return load_backbone(params, backbones.backbone(params)).encode_texts(texts) @ run.vectors.T
