"""Figures: what is drawn is what was given, ranges hold, nothing leaks into the caller's matplotlib."""

import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from icl_lib import load_params
from icl_lib.figures import captions, metrics, pictures, show, training, yes_no
from icl_lib.figures.style import GREEN, RED, WIDTH, png, stamp, styled
from icl_lib.retrieval import metrics as metrics_retrieval


def texts(figure):
    found = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
    return [text for text in found if text]


@pytest.fixture(scope="module")
def grid():
    rows = [(K, xi, lam) for lam in (0.0, 0.5, 1.0) for K in range(4) for xi in (0.2, 0.4)]
    table = pd.DataFrame(rows, columns=["K", "xi", "lam"])
    return table.assign(rank1=40 + 3 * table.K + table.xi, mAP=30 + table.K - 2 * table.lam)


@pytest.fixture
def folder(tmp_path):
    for number in range(12):
        Image.new("RGB", (20, 50), (20 * number, 90, 200)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_metric_over_K_draws_the_grid_and_the_paper(grid):
    paper = {"rank1": {"ICL": 41.0, "ICL+THI": 70.55}}
    two = {"metrics": ("rank1", "mAP"), "paper": paper, "chosen": 2, "published": 3}
    figure = metrics.metric_over_K({"raw": grid, "adapted": grid}, 0.41, 0.5, **two)
    left, right = figure.axes
    assert left.lines[0].get_xdata().tolist() == [0, 1, 2, 3]
    assert left.lines[0].get_ydata() == pytest.approx([40.4, 43.4, 46.4, 49.4])
    assert right.lines[0].get_ydata() == pytest.approx([29, 30, 31, 32])
    ring = left.lines[1]
    assert (ring.get_xdata(), ring.get_ydata()) == ([2], pytest.approx([46.4]))
    assert "paper, ICL: 41.00" in texts(figure)
    assert (
        "paper, above this range: ICL+THI 70.55" in left.get_xlabel()
        and "paper" not in right.get_xlabel()
    )
    told = figure.get_suptitle()
    assert told == "ξ = 0.41, λ = 0.5; ○ K = 2, ours; ⋮ the paper's K = 3"
    assert [line.get_xdata() for line in right.lines if line.get_linestyle() == ":"] == [[3, 3]]


def test_five_metrics_take_two_rows_and_share_a_legend(grid):
    grid = grid.assign(rank5=grid.rank1, rank10=grid.rank1, mINP=grid.mAP)
    figure = metrics.metric_over_lambda({"val": grid, "test": grid}, 2, 0.4, published=7)
    drawn = [ax for ax in figure.axes if ax.lines]
    assert [ax.get_ylabel() for ax in drawn] == list(metrics_retrieval.LABELS.values()) and len(
        figure.axes
    ) == 6
    assert [bool(ax.get_legend()) for ax in figure.axes] == [False] * 5 + [True]
    assert not [line for ax in drawn for line in ax.lines if line.get_linestyle() == ":"], (
        "7 lies outside"
    )


def test_changes_start_at_zero_without_rounds(grid):
    figure = metrics.metric_over_K(
        grid, 0.2, 0.5, metrics=("rank1",), change=True, ylim=(-3, 12), paper={"ICL": -0.1}
    )
    (ax,) = figure.axes
    assert ax.lines[0].get_ydata() == pytest.approx([0, 3, 6, 9])
    assert ax.get_ylabel() == "Rank-1: change (points)" and "paper, ICL: -0.10" in texts(figure)


def test_ranges_are_the_caller_s(grid):
    figure = metrics.metric_over_xi(
        grid, 2, 0.5, metrics=("rank1", "mAP"), ylim={"rank1": (10, 90), "mAP": (0, 50)}
    )
    assert [ax.get_ylim() for ax in figure.axes] == [(10, 90), (0, 50)]
    flat = grid.assign(rank1=50.0)
    low, high = metrics.metric_over_lambda(flat, 2, 0.4, metrics=("rank1",)).axes[0].get_ylim()
    assert high - low >= 2, "a flat line is not blown up"


def test_heatmap_has_a_fixed_range_and_all_cells(grid):
    figure = metrics.heatmap(grid, 0.5, 0, 100)
    (image,) = figure.axes[0].images
    assert image.get_clim() == (0, 100) and image.get_array().shape == (4, 2)
    assert sum(text in ("40.2", "49.4") for text in texts(figure)) == 2
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 3]], "the best cell is framed"
    ringed = metrics.heatmap(grid, 0.5, 0, 100, chosen=(2, 0.21)).axes[0]
    assert ringed.lines[1].get_xydata().tolist() == [[0, 2]] and "○ ours" in ringed.get_title()


def test_at_takes_the_nearest_value_held(grid):
    assert set(metrics.at(grid, xi=0.39, lam=0.6)["xi"]) == {0.4}


def test_top1_similarity_counts_every_query():
    top, right = np.array([0.1, 0.2, 0.6, 0.7, 0.8, 0.9]), np.array([0, 0, 1, 0, 1, 1], dtype=bool)
    figure = metrics.top1_similarity(top, right, xi=0.5, published=0.55, xlim=(0.15, 0.85))
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == pytest.approx(200)
    assert figure.axes[0].get_title() == "-- ξ = 0.5: 75% right above, 0% right below"
    assert {"first image wrong: 3 queries, median 0.200", "the paper's ξ = 0.55"} <= set(
        texts(figure)
    )
    alone = metrics.top1_similarity(top, np.ones(6, bool), xi=1.0)
    assert "no query above, 100% right below" in alone.axes[0].get_title()


def test_pr_and_roc_say_what_sklearn_says():
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    answers = {"raw": (truth, rng.random(300)), "adapted": (truth, truth * 0.9)}
    assert {"adapted: AP 100.0%", f"always Yes: {100 * truth.mean():.1f}%"} <= set(
        texts(yes_no.pr_curve(answers))
    )
    figure = yes_no.roc(answers, threshold=0.5)
    assert "adapted: AUC 100.0%" in texts(figure)
    points = [
        line.get_xydata()[0].tolist() for line in figure.axes[0].lines if line.get_marker() == "o"
    ]
    said = answers["raw"][1] > 0.5
    assert points == [
        pytest.approx([100 * said[~truth].mean(), 100 * said[truth].mean()]),
        [0, 100],
    ]


def test_p_yes_histogram_shares_sum_to_100():
    figure = yes_no.p_yes_histogram(
        {"raw": (np.array([True, True, False]), np.array([0.1, 1.0, 0.5]))}, 0.4
    )
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == pytest.approx(200)


def test_result_bars_with_intervals_ceiling_and_paper():
    results = {
        "ICL": {"rank1": 45.0, "mAP": 33.0, "ci95": {"rank1": [43, 48]}},
        "ICL+THI": {"rank1": 50.0, "mAP": 35.0},
    }
    figure = metrics.result_bars(
        results, ceiling={"rank1": 88.8}, paper={"rank1": {"ICL+THI": 70.55}}
    )
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == [45, 50]
    (bars,) = [c for c in left.collections if isinstance(c, matplotlib.collections.LineCollection)]
    assert bars.get_segments()[0][:, 1].tolist() == [43, 48]
    diamonds = [line.get_xydata().tolist() for line in left.lines if line.get_marker() == "D"]
    assert diamonds == [[[1, 70.55]]] and left.get_ylim() == right.get_ylim() == (0, 100)
    assert sum("perfect reader" in text for text in texts(figure)) == 1


def test_training_curves_mark_the_best_epoch():
    log = pd.DataFrame(
        {"epoch": [0, 1, 2], "loss": [9.0, 5, 4], "rank1": [10.0, 30, 29], "mAP": [5.0, 6, 20]}
    )
    star = [
        line
        for line in training.training_curves({"RDA": log}).axes[1].lines
        if line.get_marker() == "*"
    ]
    assert star[0].get_xydata().tolist() == [[2, 29]]  # by Rank-1 + mAP
    without_val = training.training_curves({"RDA": log.drop(columns="rank1")})
    assert len(without_val.axes[0].lines) == 1 and not without_val.axes[1].lines


def test_caption_lengths_leave_out_pictures_without_caption():
    rows = [
        ("train", 0, "one two"),
        ("train", 1, "one two three"),
        ("test", -1, ""),
        ("test", 2, "one"),
    ]
    table = pd.DataFrame(rows, columns=["split", "caption_id", "caption"])
    said = texts(captions.caption_lengths(table, limit=77))
    assert "train: 2 captions, median 2.5" in said and "test: 1 captions, median 1" in said


def test_gallery_rows_frame_right_and_wrong(folder):
    paths = [str(folder / f"{n}.png") for n in range(3)]
    (folder / "2.png").write_text("damaged")
    rows = [
        {
            "title": "before",
            "paths": paths,
            "right": [0, 1, 0],
            "p_yes": [0.2, 0.9, np.nan],
            "anchor": 1,
        },
        {"title": "after", "paths": paths[::-1], "right": [0, 1, 0]},
    ]
    figure = pictures.gallery_rows("costs $5 or $x_$ <b> " + "long " * 300, rows, title="repaired")
    before, after = figure.axes
    frames = [to_hex(patch.get_edgecolor()).upper() for patch in before.patches]
    assert frames == [RED, GREEN, "#000000", RED] and len(after.patches) == 3
    assert {"P(Yes) 0.20", "P(Yes) 0.90", "anchor", "2 ✓", "3 ✗"} <= set(texts(figure))
    assert "P(Yes) nan" not in texts(figure) and "$5 or $x_$ <b>" in figure.get_suptitle()
    assert png(figure)[:4] == b"\x89PNG"


def test_sample_sheet_shows_each_identity_s_pictures(folder):
    rows = [("train", n // 3, n, str(folder / f"{n}.png"), n, "x") for n in range(12)]
    table = pd.DataFrame(
        rows, columns=["split", "pid", "image_id", "path", "caption_id", "caption"]
    )
    figure = pictures.sample_sheet(table, identities=3, pictures=2, seed=4)
    assert [len(ax.images) for ax in figure.axes] == [2, 2, 2, 0]
    assert sum("3 pictures" in text for text in texts(figure)) == 3


def test_fitted_keeps_the_aspect(folder):
    Image.new("RGB", (10, 10), "red").save(folder / "square.png")
    made = np.asarray(pictures.fitted(folder / "square.png", (40, 100)))
    red = (made[..., 1] < 50).nonzero()
    assert made.shape == (100, 40, 3) and np.ptp(red[0]) == 39 and np.ptp(red[1]) == 39


def test_show_saves_stamped_and_repeatable(grid, tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    params = load_params("rstp", "demo", seed=3)
    figure = metrics.metric_over_K(grid, 0.4, 0.5, metrics=("mAP",))
    show(figure, params, "over_K")
    assert stamp(params) == "profile demo · RSTPReid, stand-in · seed 3" in texts(figure)
    path = tmp_path / "demo/rstp/figures/over_K.png"
    first = path.read_bytes()
    show(metrics.metric_over_K(grid, 0.4, 0.5, metrics=("mAP",)), params, "over_K")
    assert path.read_bytes() == first
    assert Image.open(io.BytesIO(first)).width == round(WIDTH * 110)
    assert "stand-in" not in stamp(load_params("rstp", "paper"))


def test_style_leaves_the_caller_s_settings_alone():
    before = dict(matplotlib.rcParams)

    @styled
    def inside():
        return matplotlib.rcParams["axes.spines.top"]

    assert inside() is False and dict(matplotlib.rcParams) == before
