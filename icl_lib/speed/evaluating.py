"""An evaluation in the released code's way, then with the kit's savings one after the other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from icl_lib.data.manifest import captions, images
from icl_lib.data.views import Images
from icl_lib.results import progress
from icl_lib.retrieval.metrics import NAMES, ranking, retrieval_metrics
from icl_lib.retrieval.models import RDE
from icl_lib.speed.released import (
    KIT,
    KIT_BF16,
    RELEASED,
    WAYS,
    Way,
    available,
    in_way,
    sorted_metrics,
)
from icl_lib.speed.timing import seconds, with_ratios

STEPS = {
    "the released code's way": RELEASED,
    "+ every item encoded once": Way(once=True),
    "+ averaged attention from the last layer only": Way(once=True, attention="last"),
    "+ the kit's encoder, one row of attention": Way(once=True, attention="row"),
    "+ captions cut to their length": Way(once=True, attention="row", trimmed=True),
    "+ ranks counted, not sorted": KIT,
    "+ bf16": KIT_BF16,
}
ROUNDING = 2e-5  # pictures whose S differs by no more than this may change places


@dataclass(frozen=True, eq=False)
class Held:
    """Decoded pictures and tokenised captions, so that an evaluation reads no files.

    Attributes:
        pixels: uint8 [G, 3, H, W].
        ids: token ids [Q, L].
        query_pids: identity of each caption [Q].
        gallery_pids: identity of each picture [G].
    """

    pixels: Tensor
    ids: Tensor
    query_pids: np.ndarray
    gallery_pids: np.ndarray

    def of(self, pictures: int) -> "Held":
        """The first `pictures` pictures, and the first captions in proportion (one at least)."""
        queries = max(1, len(self.ids) * pictures // len(self.pixels))
        return Held(
            self.pixels[:pictures],
            self.ids[:queries],
            self.query_pids[:queries],
            self.gallery_pids[:pictures],
        )


def some_people(manifest: pd.DataFrame, split: str, people: int) -> pd.DataFrame:
    """The manifest's rows of the first `people` identities of a split."""
    rows = captions(manifest, split)
    return rows[rows["pid"].isin(rows["pid"].unique()[:people])].reset_index(drop=True)


def held(model: RDE, manifest: pd.DataFrame, split: str, people: int) -> Held:
    """The pictures and captions of the first `people` identities of a split."""
    rows = some_people(manifest, split, people)
    gallery = images(rows, split)
    pixels = Images(gallery["path"].tolist(), model.image_size).batches(model.eval_batch)
    ids = model.tokenise(rows["caption"].tolist())
    return Held(torch.cat([*pixels]), ids, rows["pid"].to_numpy(), gallery["pid"].to_numpy())


def similarity(model: RDE, data: Held, way: Way) -> np.ndarray:
    """S of every caption with every picture [Q, G], the mean of the branches' cosines."""
    model = in_way(model, way)
    if not way.once:  # pictures once more for TSE, captions twice more: the same vectors each time
        model.encode_images(data.pixels)
        model.encode_ids(data.ids)
        model.encode_ids(data.ids)
    return model.encode_ids(data.ids) @ model.encode_images(data.pixels).T


def evaluate(model: RDE, data: Held, way: Way) -> tuple[np.ndarray, dict[str, float]]:
    """Similarities [Q, G] and the retrieval metrics in percent."""
    sim = similarity(model, data, way)
    metrics = retrieval_metrics if way.counted else sorted_metrics
    return sim, metrics(sim, data.query_pids, data.gallery_pids)


def savings(model: RDE, data: Held, repeats: int = 2) -> pd.DataFrame:
    """An evaluation with one saving more in each row: its time, and what the saving changes.

    Columns: `seconds`, `gain` over the row above and `ratio` to the released way; those of
    `agreement` with the released way's similarities; `metric_difference`, the largest change of a
    metric in points; `rank1`. The row of bf16 is left out on machines that are not faster in it.
    """
    base, released = evaluate(model, data, RELEASED)  # also pays one-off preparations
    rows = {}
    for name, way in progress(available(STEPS).items(), "ways"):
        took, (sim, metrics) = seconds(evaluate, model, data, way, repeats=repeats)
        rows[name] = {
            "seconds": took,
            **agreement(base, sim, data),
            "metric_difference": max(abs(released[key] - metrics[key]) for key in NAMES),
            "rank1": metrics["rank1"],
        }
    return with_ratios(pd.DataFrame.from_dict(rows, orient="index"))


def growth(model: RDE, data: Held, pictures: Iterable[int], repeats: int = 1) -> pd.DataFrame:
    """Seconds of an evaluation in the released way and in the kit's, by gallery size; ratios."""
    rows = []
    for count in pictures:
        part = data.of(count)
        took = {
            name: seconds(evaluate, model, part, way, repeats=repeats)[0]
            for name, way in available(WAYS).items()
        }
        ratios = {f"ratio, {name}": took["released"] / took[name] for name in [*took][1:]}
        rows.append({"pictures": len(part.pixels), "captions": len(part.ids)} | took | ratios)
    return pd.DataFrame(rows)


def agreement(a: np.ndarray, b: np.ndarray, data: Held) -> dict[str, float]:
    """How far two similarity matrices [Q, G] rank alike.

    Returns:
        `same_top1` and `same_hit`: percent of queries with the same first picture, and with
        the same hit or miss there. `sim_difference`: the largest difference of S. `same_ranking`:
        whether b ranks as a does, but for pictures whose S in a differ by no more than `ROUNDING`.
    """
    top_a, top_b = ranking(a, 1)[:, 0], ranking(b, 1)[:, 0]
    hit_a, hit_b = (data.gallery_pids[top] == data.query_pids for top in (top_a, top_b))
    in_order = np.take_along_axis(a, ranking(b), 1)
    return {
        "same_top1": 100 * float((top_a == top_b).mean()),
        "same_hit": 100 * float((hit_a == hit_b).mean()),
        "sim_difference": float(np.abs(a - b).max()),
        "same_ranking": bool((np.diff(in_order, axis=1) <= ROUNDING).all()),
    }
