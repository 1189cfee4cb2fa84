"""What was drawn: the truth behind each picture, and what a perfect reader reaches."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.standin.attributes import VALUES

TRUTH, CARD = "standin_truth.json", "DATA_CARD.md"


def read_truth(root) -> dict:
    """The ground truth of a stand-in: {"people": [...], "pictures": {file name: {pid, img_path, camera,
    view, truth, seen, facts}}}.
    """
    return json.loads((Path(root) / TRUTH).read_text())


def oracle(root, image_paths: list[str]) -> float:
    """Expected Rank-1, in percent, of a perfect reader: it knows everything that was drawn and all that each
    caption says.

    A picture's score is the number of the caption's facts that hold for it; among the best-scoring pictures
    it picks at random. image_paths: the gallery (file names below imgs/); its own captions are the queries.
    """
    pictures = read_truth(root)["pictures"]
    gallery = [pictures[Path(p).name] for p in image_paths]
    code = {name: {v: i for i, v in enumerate(VALUES[name][0])} | {"none": -2} for name in VALUES}
    drawn = np.array([[code[n][p["truth"][n]] for n in VALUES] for p in gallery])  # [G, attributes]
    pids, hits = np.array([p["pid"] for p in gallery]), []
    for picture in gallery:
        for facts in picture["facts"]:
            said = np.array([code[n][facts[n]] if n in facts else -1 for n in VALUES])
            score = ((drawn == said) & (said != -1)).sum(1)
            best = score == score.max()
            hits.append((pids[best] == picture["pid"]).mean())
    return 100 * float(np.mean(hits))


def identities_that_fit(root, queries: pd.DataFrame, gallery: pd.DataFrame) -> np.ndarray:
    """How many identities of a stand-in's gallery fit each caption as well as its own person does [Q], at
    least 1.

    A picture's score is the number of the caption's facts that were drawn into it (as in the oracle); an
    identity fits if one of its pictures scores no less than the best picture of the caption's own person.
    A fact told wrongly can make others fit too. `root`: the stand-in's folder, which holds the truth.
    Raises ValueError for a caption not in it.
    """
    pictures = read_truth(root)["pictures"]
    code = {
        name: {value: i for i, value in enumerate(VALUES[name][0])} | {"none": -2}
        for name in VALUES
    }
    names: Sequence[str] = list(VALUES)
    truths = [pictures[Path(path).name]["truth"] for path in gallery["path"]]
    drawn = np.array(
        [[code[name][truth[name]] for name in names] for truth in truths]
    )  # [G, attributes]
    pids, fits = gallery["pid"].to_numpy(), np.zeros(len(queries), dtype=int)
    for row, (path, pid, text) in enumerate(
        zip(queries["path"], queries["pid"], queries["caption"])
    ):
        told = pictures[Path(path).name]
        facts = told["facts"][told["captions"].index(text)]
        said = np.array([code[name][facts[name]] if name in facts else -1 for name in names])
        score = ((drawn == said) & (said != -1)).sum(1)  # [G]
        fits[row] = len(np.unique(pids[score >= score[pids == pid].max()]))
    return fits
