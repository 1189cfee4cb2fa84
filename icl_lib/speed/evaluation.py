"""Evaluation in the released code's way, and with the kit's savings added to it one after the other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from icl_lib.data.manifest import captions, images
from icl_lib.data.views import Images
from icl_lib.results import progress
from icl_lib.retrieval.backbone import uses_bf16
from icl_lib.retrieval.metrics import NAMES, ranking, retrieval_metrics
from icl_lib.retrieval.models import RDE
from icl_lib.speed.released import (
    KIT,
    RELEASED,
    Way,
    encode,
    image_branches,
    sorted_metrics,
    text_branches,
)
from icl_lib.speed.timing import seconds

STEPS = {
    "the released code's way": RELEASED,
    "+ every item encoded once": Way(True),
    "+ averaged attention from the last layer only": Way(True, "last"),
    "+ the kit's encoder, one row of attention": Way(True, "row"),
    "+ captions cut to their length": Way(True, "row", True),
    "+ ranks counted, not sorted": KIT,
    "+ bf16": replace(KIT, precision="bf16"),
}


@dataclass(frozen=True, eq=False)
class Held:
    """What is evaluated: pixels [G, 3, H, W] uint8, token ids [Q, L], query_pids [Q], gallery_pids [G]."""

    pixels: Tensor
    ids: Tensor
    query_pids: np.ndarray
    gallery_pids: np.ndarray

    def of(self, pictures: int) -> "Held":
        """The first `pictures` pictures and the first captions in proportion."""
        queries = max(1, len(self.ids) * pictures // len(self.pixels))
        return Held(
            self.pixels[:pictures],
            self.ids[:queries],
            self.query_pids[:queries],
            self.gallery_pids[:pictures],
        )


def some_people(manifest: pd.DataFrame, split: str, people: int) -> pd.DataFrame:
    """The manifest's rows of the first `people` identities of one split."""
    rows = captions(manifest, split)
    return rows[rows["pid"].isin(rows["pid"].drop_duplicates()[:people])].reset_index(drop=True)


def held(model: RDE, manifest: pd.DataFrame, split: str, people: int) -> Held:
    """The first `people` identities of a split, pictures decoded and captions tokenised, so that neither is
    timed.
    """
    rows = some_people(manifest, split, people)
    pictures = images(rows, split)
    pixels = torch.cat(
        [*Images(pictures["path"].tolist(), model.image_size).batches(model.eval_batch)]
    )
    return Held(
        pixels,
        model.tokenise(rows["caption"].tolist()),
        rows["pid"].to_numpy(),
        pictures["pid"].to_numpy(),
    )


def similarity(model: RDE, data: Held, way: Way) -> np.ndarray:
    """S of every caption with every picture [Q, G], the mean of the branches' cosines."""
    ids = data.ids
    order = ids.argmax(1).argsort(stable=True) if way.trimmed else torch.arange(len(ids))

    def once(items: Tensor, branches: Callable) -> dict[str, np.ndarray]:
        return encode(model, items.split(model.eval_batch), branches, way)

    vectors, texts = once(data.pixels, image_branches), once(ids[order], text_branches)
    if (
        not way.once
    ):  # a pass for TSE's pictures and two more of the captions, which find the same again
        vectors["tse"] = once(data.pixels, image_branches)["tse"]
        texts["tse"] = once(ids[order], text_branches)["tse"]
        once(ids[order], text_branches)
    sim = sum(texts[name] @ vectors[name].T for name in texts) / len(texts)
    out = np.empty_like(sim)
    out[order.numpy()] = sim
    return out


def evaluate(model: RDE, data: Held, way: Way) -> tuple[np.ndarray, dict[str, float]]:
    """Similarities [Q, G] and metrics in percent."""
    sim = similarity(model, data, way)
    score = retrieval_metrics if way.counted else sorted_metrics
    return sim, score(sim, data.query_pids, data.gallery_pids)


def savings(model: RDE, data: Held, repeats: int = 2) -> pd.DataFrame:
    """Evaluation with one saving more a row: seconds, gain over the row above, ratio to the released way.

    Then what it changed: the share of queries (percent) with the same Top-1 picture as the released way and
    with the same hit or miss there, the largest difference of S, the largest difference of a metric (points),
    and whether the ranking is the released one up to pictures whose S differ by no more than rounding.
    bf16 is left out on processors that have none.
    """
    rows, base = {}, None
    evaluate(
        model, data.of(min(32, len(data.pixels))), RELEASED
    )  # the first run pays for what is made once
    for name, way in progress(available(model).items(), "ways", len(available(model))):
        took, (sim, values) = seconds(lambda: evaluate(model, data, way), repeats)
        base = base or (took, sim, values)
        before = list(rows.values())[-1]["seconds"] if rows else took
        rows[name] = {
            "seconds": took,
            "gain": before / took,
            "ratio": base[0] / took,
            **agreement(base[1], sim, data),
            **_differences(base[2], values),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("way")


def growth(model: RDE, data: Held, pictures: Iterable[int], repeats: int = 1) -> pd.DataFrame:
    """Seconds of an evaluation in the released way and the kit's by number of pictures, and their ratios."""
    ways = {"released": RELEASED, "kit": KIT, "kit, bf16": replace(KIT, precision="bf16")}
    known = set(available(model).values())
    rows = []
    for count in pictures:
        part = data.of(count)
        row = {"pictures": len(part.pixels), "captions": len(part.ids)}
        row |= {
            name: seconds(lambda: evaluate(model, part, way), repeats)[0]
            for name, way in ways.items()
            if way in known
        }
        rows.append(
            row
            | {
                f"ratio, {name}": row["released"] / row[name]
                for name in ways
                if name in row and name != "released"
            }
        )
    return pd.DataFrame(rows)


def available(model: RDE) -> dict[str, Way]:
    """`STEPS` without bf16 where the machine is not fast at it."""
    fast = uses_bf16("auto", model.device)
    return {name: way for name, way in STEPS.items() if fast or way.precision == "fp32"}


def agreement(a: np.ndarray, b: np.ndarray, data: Held, rounding: float = 2e-5) -> dict[str, float]:
    """How far two similarities [Q, G] rank alike.

    same_top1, same_hit: percent of queries with the same first picture, and with the same hit or miss there.
    sim_difference: the largest. same_ranking: in the order of b, a never rises by more than `rounding`.
    """
    top_a, top_b = ranking(a, 1)[:, 0], ranking(b, 1)[:, 0]
    hit_a, hit_b = (data.gallery_pids[top] == data.query_pids for top in (top_a, top_b))
    in_order = np.take_along_axis(a, ranking(b), 1)
    return {
        "same_top1": 100 * float((top_a == top_b).mean()),
        "same_hit": 100 * float((hit_a == hit_b).mean()),
        "sim_difference": float(np.abs(a - b).max()),
        "same_ranking": bool((np.diff(in_order, axis=1) <= rounding).all()),
    }


def _differences(a: dict, b: dict) -> dict[str, float]:
    return {"metric_difference": max(abs(a[name] - b[name]) for name in NAMES), "rank1": b["rank1"]}
