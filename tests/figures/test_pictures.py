"""Pictures are fitted, framed and placed; a damaged one does not spoil a figure."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from icl_lib.data.manifest import COLUMNS
from icl_lib.figures import pictures
from icl_lib.figures.style import GREEN, RED, png
from icl_lib.thi import replay


@pytest.fixture
def manifest(folder):
    rows = [("train", n // 3, n, str(folder / f"{n}.png"), n, "a red coat") for n in range(12)]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_rankings_frame_right_and_wrong(folder, manifest, texts):
    (folder / "2.png").write_text("damaged")
    gallery = manifest.head(3).assign(pid=[5, 7, 5])
    similarities = {"before": np.array([0.9, 0.8, 0.7]), "after": np.array([0.1, 0.2, 0.3])}
    query = "costs $5 or $x_$ <b> " + "long " * 300
    figure = pictures.rankings(query, similarities, gallery, 7, title="repaired", anchor=1)
    before, after = figure.axes
    frames = [to_hex(patch.get_edgecolor()).upper() for patch in before.patches]
    assert frames == [RED, GREEN, "#000000", RED]
    assert len(after.patches) == 4
    assert {"anchor", "2 ✓", "3 ✗"} <= set(texts(figure))
    assert "$5 or $x_$ <b>" in figure.get_suptitle()
    assert png(figure)[:4] == b"\x89PNG"


def test_rankings_before_and_after_thi(run, texts):
    final, anchor = replay(run.sim, run.sim_refined, run.trace, 3, 0.55, 0.2)
    figure = pictures.before_after(run, 1, final, anchor, 3)
    before, after = figure.axes
    green = [to_hex(patch.get_edgecolor()).upper() == GREEN for patch in before.patches]
    assert green[:3] == [False, False, True], "right at rank 3 before"
    assert to_hex(after.patches[0].get_edgecolor()).upper() == GREEN, "and at rank 1 after"
    assert texts(figure).count("anchor") == 2
    without = pictures.before_after(run, 4, final, anchor)
    assert "after: no anchor, nothing changes" in texts(without)


def test_sample_sheet_shows_each_persons_pictures(manifest, texts):
    figure = pictures.sample_sheet(manifest, identities=3, pictures=2, seed=4)
    assert [len(ax.images) for ax in figure.axes] == [2, 2, 2, 0]
    assert sum("3 pictures" in text for text in texts(figure)) == 3


def test_pair_sheet_frames_texts_by_whose_they_are_and_cuts_long_ones(folder):
    rows = [("a man with $5 and _dots_", 1, 0.25, 3), ("word " * 300, 0, 0.75, 1)]
    table = pd.DataFrame(rows, columns=["caption", "label", "p", "rank"])
    table["path"] = str(folder / "1.png")
    right, wrong = pictures.pair_sheet(table).axes
    assert right.get_title() == "✓ same person, rank 3, P(Yes) 0.25"
    assert wrong.get_title() == "✗ another, rank 1, P(Yes) 0.75"
    frames = [to_hex(ax.spines["left"].get_edgecolor()).upper() for ax in (right, wrong)]
    assert frames == [GREEN, RED]
    assert wrong.get_xlabel().endswith("…")
    assert wrong.get_xlabel().count("\n") == 8
    assert png(pictures.pair_sheet(table[["path", "caption"]])), "dollar signs are no formulas"
    assert png(pictures.pair_sheet(table.head(0))), "no pair, no error"


def test_each_data_set_has_a_row_with_a_typical_caption(manifest):
    rows = {"One": manifest, "Other": manifest[manifest["pid"] < 1]}
    first, second = pictures.data_set_rows(rows, pictures=4).axes
    assert "2 people" in first.get_title(loc="left")
    assert "one person" in second.get_title(loc="left")
    assert (len(first.images), len(second.images)) == (4, 3)
    assert first.texts[0].get_text() == "“a red coat”"


def test_fitted_keeps_the_aspect(folder):
    Image.new("RGB", (10, 10), "red").save(folder / "square.png")
    made = np.asarray(pictures.fitted(folder / "square.png", (40, 100)))
    red = (made[..., 1] < 50).nonzero()
    assert made.shape == (100, 40, 3)
    assert np.ptp(red[0]) == 39
    assert np.ptp(red[1]) == 39


def test_a_picture_is_enlarged_only_on_demand(folder):
    assert pictures.fitted(folder / "0.png", (100, 250), enlarge=False).size == (20, 50)
