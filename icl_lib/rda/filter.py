"""Which of the MLLM's additions to a caption are kept: by P(Yes), least believed first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd


def sub_sentences(
    texts: dict[int, dict], captions: pd.DataFrame, own: Sequence[Sequence[str]]
) -> pd.DataFrame:
    """The distinct pairs of picture and sub-sentence in `augment`'s texts: path, text, captioned.

    own: the captions themselves, not enriched, each cut into sub-sentences (T_dec). `captioned` sub-sentences
    are among those of a caption of the same picture, word for word: a human said them, M did not add them.
    """
    ids, paths = captions["caption_id"].astype(int), captions["path"]
    said = {(path, text) for path, parts in zip(paths, own, strict=True) for text in parts}
    told = dict.fromkeys(
        (path, text) for i, path in zip(ids, paths) for text in texts[i]["sentences"]
    )
    table = pd.DataFrame(list(told), columns=["path", "text"])
    return table.assign(captioned=[pair in said for pair in told])


def without_least(
    texts: dict[int, dict], captions: pd.DataFrame, checked: pd.DataFrame, share: float
) -> dict[int, dict]:
    """`augment`'s texts less the `share` of M's additions that M itself believes least (not in the paper).

    checked: `sub_sentences` of them with p, P(Yes) of each given its picture; see `least_believed`. A caption of
    which nothing would be left keeps its most believed sub-sentence.
    """
    pairs = list(zip(checked["path"], checked["text"]))
    out = {pair for pair, least in zip(pairs, least_believed(checked, share)) if least}
    p, path_of = (
        dict(zip(pairs, checked["p"])),
        dict(zip(captions["caption_id"].astype(int), captions["path"])),
    )
    return kept(
        texts, lambda i, text: (path_of[i], text) not in out, lambda i, text: p[path_of[i], text]
    )


def least_believed(checked: pd.DataFrame, share: float) -> pd.Series:
    """Bool, a row of `checked`: among the `share` of lowest p of those that are not captioned."""
    place = (
        checked["p"].where(~checked["captioned"]).rank(method="first", pct=True)
    )  # in (0, 1], NaN if captioned
    return place <= share


def kept(
    texts: dict[int, dict], fits: Callable[[int, str], bool], belief: Callable[[int, str], float]
) -> dict:
    """The texts with those sub-sentences alone that `fits(caption_id, text)`; else the one of most `belief`."""
    left = {}
    for i, row in texts.items():
        chosen = [n for n, text in enumerate(row["sentences"]) if fits(i, text)]
        chosen = chosen or [
            max(range(len(row["sentences"])), key=lambda n: belief(i, row["sentences"][n]))
        ]
        left[i] = {
            **row,
            **{name: [row[name][n] for n in chosen] for name in ("sentences", "parts")},
        }
    return left
