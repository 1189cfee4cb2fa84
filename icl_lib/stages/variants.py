"""The stage of notebook 06: variants of Algorithm 1, with their parameter chosen on val."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.mllm import aggregate, load_mllm
from icl_lib.params import Params
from icl_lib.results import file_hash, read_json, write_json
from icl_lib.retrieval import load_backbone
from icl_lib.stages.backbones import backbone
from icl_lib.stages.interactions import whole_trace
from icl_lib.stages.made import stage
from icl_lib.thi import Interaction, Trace, contradictions, refine
from icl_lib.thi.variants import find

# A variant should avoid errors at every depth, not only at the first rank, so these are added up.
SCORE = ("rank1", "rank5", "rank10", "mAP")
EFFECTIVE = 0.5  # points of Rank-1 on val from which a value counts as having an effect


def prepared(
    params: Params, run: Interaction, split: str, name: str
) -> tuple[Interaction, dict[str, object]]:
    """What variant `name` replays: the interaction, and the other arguments of its replay."""
    needs = find(name).needs
    if needs == "best":
        whole = whole_trace(params, run, split).first(params.thi.K)
        texts = _merged_with_best(params, split, run, whole)
        return run, {"whole": whole, "sim_best": _similarity(params, run, texts)}
    if needs == "adding":
        merged = _merged_with_additions(params, split, run)
        texts = merged["texts"]
        run = replace(run, texts=texts, sim_refined=_similarity(params, run, texts))
        return run, {"contradictions": np.array(merged["contradictions"])}
    return run, {}


def changed(params: Params, run: Interaction, split: str, name: str, value: float) -> Interaction:
    """`run` with variant `name` at `value` instead of Algorithm 1."""
    run, beside = prepared(params, run, split, name)
    return replace(run, change=partial(find(name).replay, value=value, **beside))


def on_val(params: Params, val: Interaction, name: str, point: dict) -> pd.DataFrame:
    """The variant on val at `point`: a row for each value of its parameter.

    Columns value, rank1, rank5, rank10, mAP (percent), anchors, and score, the sum of the metrics.
    """
    (run, beside), rows = prepared(params, val, "val", name), []
    for value in find(name).values:
        replay = partial(find(name).replay, value=value, **beside)
        metrics = replace(run, change=replay).per_query(**point)
        means = {metric: metrics[metric].mean() for metric in SCORE}
        rows.append({"value": value, **means, "anchors": int((metrics["anchor"] >= 0).sum())})
    return pd.DataFrame(rows).assign(score=lambda table: table[list(SCORE)].sum(axis=1))


def chosen_value(params: Params, val: Interaction, name: str, point: dict) -> float:
    """The value of the variant's parameter that is best on val."""
    return best_value(on_val(params, val, name, point), find(name).neutral)


def best_value(table: pd.DataFrame, neutral: float) -> float:
    """The value with the highest score in a table of `on_val`; if tied, the neutral or first."""
    best = table.loc[np.isclose(table["score"], table["score"].max(), atol=1e-9), "value"]
    return float(neutral if (best == neutral).any() else best.iloc[0])


def mildest_value(table: pd.DataFrame, neutral: float) -> float:
    """The value nearest to the neutral one that matters in a table of `on_val`.

    Returns:
        The value that is the fewest rows away from the neutral one and moves Rank-1 by EFFECTIVE
        points or more; the neutral one if none does.
    """
    at = int(np.flatnonzero(table["value"] == neutral)[0])
    change = (table["rank1"] - table["rank1"].iloc[at]).abs()
    moved = np.flatnonzero(change >= EFFECTIVE - 1e-9)
    nearest = moved[np.abs(moved - at).argmin()] if len(moved) else at
    return float(table["value"].iloc[nearest])


def _merged_with_best(params: Params, split: str, run: Interaction, whole: Trace) -> list[str]:
    """[Q] refined queries, with the candidate of the highest P(Yes) instead of the first Yes."""
    best = whole.p_yes.argmax(1)
    other = (whole.first_yes >= 0) & (best != whole.first_yes)
    only_best = (np.arange(whole.k_max) == best[:, None]) & other[:, None]

    def build(folder: Path) -> None:
        trace = replace(
            whole,
            p_yes=np.where(only_best, whole.p_yes, np.nan),
            seconds=np.where(only_best, 0.0, np.nan),
        )
        queries, paths = run.queries["caption"].tolist(), run.gallery["path"].tolist()
        texts, _ = refine(queries, trace, load_mllm(params), paths)
        write_json(folder / "texts.json", np.where(other, texts, run.texts))

    key = {"trace": run.folder.name, "K": whole.k_max}
    return read_json(stage(params, f"thi-{split}-best", key, build) / "texts.json")


def _merged_with_additions(params: Params, split: str, run: Interaction) -> dict[str, list]:
    """Queries merged only with what the anchor adds to them: {"texts" [Q], "contradictions" [Q]}.

    Answers of the anchor's description that contradict the query are counted, and not merged.
    """
    described = [q for q, answers in enumerate(run.answers) if answers is not None]
    texts = run.queries["caption"].tolist()

    def build(folder: Path) -> None:
        mllm, merged, against, additions = load_mllm(params), list(texts), [0] * len(texts), []
        for q in described:
            adds, contradicts = contradictions.compare(
                run.answers[q], texts[q], mllm.prompts.says_something
            )
            additions.append({name: run.answers[q][name] for name in adds})
            against[q] = len(contradicts)
        written = aggregate(mllm, additions, [texts[q] for q in described])
        for q, text in zip(described, written, strict=True):
            merged[q] = text
        write_json(folder / "texts.json", {"texts": merged, "contradictions": against})

    key = {"trace": run.folder.name, "rule": file_hash(contradictions.__file__)}
    return read_json(stage(params, f"thi-{split}-adding", key, build) / "texts.json")


def _similarity(params: Params, run: Interaction, texts: list[str]) -> np.ndarray:
    """S(q̂, v) [Q, G] of refined queries."""
    return load_backbone(params, backbone(params)).encode_texts(texts) @ run.vectors.T
