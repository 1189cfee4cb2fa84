"""A small interaction of THI with known outcomes, without models."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.thi import Interaction, Trace

XI = 0.55
GALLERY = [1, 1, 2, 3]  # the person of each gallery column
ASKED = [0, 2, 3]  # candidates of every query, in rank order
# Person, similarities, P(Yes) of the candidates; what happens at K = 3 and ξ = XI.
QUERIES = [
    (1, [0.5, 0.1, 0.4, 0.3], [0.1, 0.9, np.nan]),  # right first; a wrong Yes at rank 2: harmed
    (3, [0.5, 0.1, 0.4, 0.3], [0.1, 0.2, 0.9]),  # wrong first; a right Yes at rank 3: repaired
    (2, [0.6, 0.1, 0.4, 0.3], [0.9, np.nan, np.nan]),  # sure of the wrong one
    (2, [0.6, 0.1, 0.4, 0.3], [0.1, 0.9, np.nan]),  # sure, a No: the list is not walked
    (2, [0.5, 0.1, 0.4, 0.3], [0.1, 0.2, 0.2]),  # the right one got a No
    (3, [0.5, 0.1, 0.4, 0.3], [0.9, np.nan, np.nan]),  # a first Yes that is not used
    (1, [0.6, 0.1, 0.4, 0.3], [0.9, np.nan, np.nan]),  # right and confirmed
    (9, [0.5, 0.1, 0.4, 0.3], [0.1, 0.1, 0.1]),  # nobody in the gallery
]


def interaction(query_pids, gallery_pids, sim, refined, trace, paths=None):
    """An `icl_lib.thi.Interaction` without models."""
    texts = [f"caption {q}" for q in range(len(query_pids))]
    gallery = pd.DataFrame({"pid": gallery_pids})
    return Interaction(
        queries=pd.DataFrame({"pid": query_pids, "caption": texts}),
        gallery=gallery if paths is None else gallery.assign(path=paths),
        sim=np.asarray(sim),
        sim_refined=np.asarray(refined),
        trace=trace,
        texts=texts,
        answers=[{"hat": "red"} for _ in texts],
    )


@pytest.fixture
def run(tmp_path):
    pids, sim, p_yes = zip(*QUERIES, strict=True)
    paths = [str(tmp_path / f"{number}.png") for number in range(4)]
    return interaction(pids, GALLERY, sim, sim, Trace([ASKED] * len(pids), p_yes), paths)
