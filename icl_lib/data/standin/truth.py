"""What was drawn: the truth behind each picture, and what a perfect reader of captions reaches."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.standin.attributes import VALUES

TRUTH = "standin_truth.json"
CARD = "DATA_CARD.md"
_WORDS = sorted({word for values, _ in VALUES.values() for word in values})
_CODES = {word: code for code, word in enumerate(_WORDS)}  # numbers compare faster than words


def read_truth(root) -> dict:
    """The truth of the stand-in in the folder `root`.

    Returns:
        {"people": [attribute -> value], "pictures": {file name: {pid, img_path, camera, view,
        truth, seen, facts, captions}}}; `truth` is attribute -> value, `seen` the attributes that
        the picture shows, `facts` what each of the `captions` says.
    """
    return json.loads((Path(root) / TRUTH).read_text())


def oracle(root, image_paths: list[str]) -> float:
    """Expected Rank-1, in percent, of a perfect reader of pictures and captions.

    It knows everything that was drawn and everything that a caption says. A picture's score is the
    number of the caption's facts that hold for it; among the best pictures it picks at random.

    Args:
        root: The folder of the stand-in.
        image_paths: The gallery, as paths or file names; the queries are its pictures' captions.
    """
    pictures = read_truth(root)["pictures"]
    gallery = [pictures[Path(path).name] for path in image_paths]
    pids = np.array([picture["pid"] for picture in gallery])
    hits = []
    for picture, score in _scores(gallery, [(p, f) for p in gallery for f in p["facts"]]):
        hits.append((pids[score == score.max()] == picture["pid"]).mean())
    return 100 * float(np.mean(hits))


def identities_that_fit(root, queries: pd.DataFrame, gallery: pd.DataFrame) -> np.ndarray:
    """How many identities fit each caption at least as well as its own person does [Q], at least 1.

    Scores are those of `oracle`; an identity fits if one of its pictures scores no less than the
    best picture of the caption's own person. A wrong fact in a caption can make others fit, too.

    Args:
        root: The folder of the stand-in.
        queries: Its captions, with the columns path, pid and caption.
        gallery: Its pictures, with the columns path and pid.

    Raises:
        ValueError: A caption does not belong to its picture.
    """
    pictures = read_truth(root)["pictures"]
    told = [pictures[Path(path).name] for path in queries["path"]]
    rows = [
        (pid, picture["facts"][picture["captions"].index(text)])
        for picture, pid, text in zip(told, queries["pid"], queries["caption"], strict=True)
    ]
    pids = gallery["pid"].to_numpy()
    drawn = [pictures[Path(path).name] for path in gallery["path"]]
    return np.array(
        [
            len(np.unique(pids[score >= score[pids == pid].max()]))
            for pid, score in _scores(drawn, rows)
        ],
        dtype=int,
    )


def _scores(gallery: list[dict], told: Iterable[tuple]) -> Iterable[tuple]:
    """For each (key, facts) of `told`: (key, number of facts that hold for each picture [G])."""
    drawn = np.array([[_CODES[picture["truth"][name]] for name in VALUES] for picture in gallery])
    for key, facts in told:
        said = np.array([_CODES.get(facts.get(name), -1) for name in VALUES])  # [attributes]
        yield key, (drawn == said).sum(1)
