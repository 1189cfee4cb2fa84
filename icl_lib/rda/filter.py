"""Leaves out the additions to a caption that the MLLM itself believes least (not in the paper)."""

from collections.abc import Callable, Sequence

import pandas as pd


def sub_sentences(
    texts: dict[int, dict], captions: pd.DataFrame, own: Sequence[Sequence[str]]
) -> pd.DataFrame:
    """Lists the distinct pairs of image and sub-sentence: path, text, captioned.

    A sub-sentence is captioned if a person said it, that is, if a caption of the same image holds
    it word for word. All others are additions by the MLLM.

    Args:
        texts: what `augment` returns.
        captions: the captions that `texts` are made of.
        own: those captions as they are, each cut into sub-sentences (T_dec).
    """
    ids, paths = captions["caption_id"].astype(int), captions["path"]
    said = {(path, text) for path, parts in zip(paths, own, strict=True) for text in parts}
    pairs = dict.fromkeys(
        (path, text) for i, path in zip(ids, paths, strict=True) for text in texts[i]["sentences"]
    )
    table = pd.DataFrame(list(pairs), columns=["path", "text"])
    return table.assign(captioned=[pair in said for pair in pairs])


def without_least(
    texts: dict[int, dict], captions: pd.DataFrame, checked: pd.DataFrame, share: float
) -> dict[int, dict]:
    """Leaves out the `share` of all additions that have the lowest P(Yes).

    A caption that would lose all its sub-sentences keeps the one with the highest P(Yes).

    Args:
        texts: what `augment` returns.
        captions: the captions that `texts` are made of.
        checked: the table of `sub_sentences`, with a column p: P(Yes) of the text given its image.
        share: the share of additions to leave out, in [0, 1].
    """
    path_of = dict(zip(captions["caption_id"].astype(int), captions["path"], strict=True))
    by_pair = checked.assign(out=least_believed(checked, share)).set_index(["path", "text"])
    out, p = by_pair["out"].to_dict(), by_pair["p"].to_dict()
    return kept(
        texts, lambda i, text: not out[path_of[i], text], lambda i, text: p[path_of[i], text]
    )


def least_believed(checked: pd.DataFrame, share: float) -> pd.Series:
    """Marks (bool) the rows of `checked` among the `share` of additions that have the lowest p."""
    rank = checked["p"].where(~checked["captioned"]).rank(method="first", pct=True)
    return rank <= share  # captioned rows have NaN, and so get False


def kept(
    texts: dict[int, dict], fits: Callable[[int, str], bool], belief: Callable[[int, str], float]
) -> dict[int, dict]:
    """Keeps the sub-sentences for which `fits` is true, or else the one of highest `belief`."""
    left = {}
    for i, row in texts.items():
        sentences = row["sentences"]
        chosen = [n for n, text in enumerate(sentences) if fits(i, text)]
        chosen = chosen or [max(range(len(sentences)), key=lambda n: belief(i, sentences[n]))]
        left[i] = row | {name: [row[name][n] for n in chosen] for name in ("sentences", "parts")}
    return left
