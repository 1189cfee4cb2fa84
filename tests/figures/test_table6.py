"""Table 6 as figures: every seed, every step, the paper's values."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis.table6 import METRICS, STEPS, paper_rows
from icl_lib.figures import table6

METHODS = ["baseline", "RDA", "RDA + THI", "RDA + THI + LoRA", "THI", "THI + LoRA"]


def test_bars_draw_the_mean_and_every_seed():
    rows = pd.DataFrame(
        [
            {"seed": seed, "method": method, "rank1": 40.0 + place + seed, "mAP": 30.0}
            for seed in range(3)
            for place, method in enumerate(METHODS)
        ]
    )
    left, right = table6.bars(rows, paper_rows("rstp"), (40, 60)).axes
    assert [bar.get_height() for bar in left.patches] == pytest.approx(41 + np.arange(6))
    dots = [line for line in left.lines if line.get_marker() == "."]
    assert len(dots) == 6
    assert dots[1].get_ydata().tolist() == [41, 42, 43]
    assert left.get_ylim() == right.get_ylim() == (30, 75), "mAP 30 and the paper's 70.55 fit in"
    assert left.texts[0].xy == (0, 65.35), "the number stands above the paper's diamond"
    (diamonds,) = [line.get_ydata() for line in left.lines if line.get_marker() == "D"]
    assert diamonds[:2].tolist() == [65.35, 67.7]


def test_forest_draws_every_step_and_seed():
    gains = pd.DataFrame(
        [
            {"seed": seed, "method": method, "against": against, "metric": metric}
            | {"difference": place + seed, "low": place - 1, "high": place + 1}
            for seed in range(3)
            for place, (method, against) in enumerate(STEPS)
            for metric in METRICS
        ]
    )
    left, _ = table6.forest(gains, paper_rows("rstp"), (-5, 15)).axes
    points = [line.get_xdata() for line in left.lines if line.get_marker() == "o"]
    assert [list(seed) for seed in points] == [[p + s for p in range(7)] for s in range(3)]
    (diamonds,) = [line.get_xdata() for line in left.lines if line.get_marker() == "D"]
    assert diamonds[:3] == pytest.approx([2.35, 1.3, 1.55])
    (own,) = [line.get_ydata() for line in left.lines if line.get_marker() == "D"]
    seeds = np.concatenate([line.get_ydata() for line in left.lines if line.get_marker() == "o"])
    assert not set(own) & set(seeds), "the paper's change has a line of its own"
