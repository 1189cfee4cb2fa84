"""Histograms count every value, in percent of its group."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.data.checks import word_counts
from icl_lib.figures import histograms


def test_shares_show_the_median_and_the_part_beyond_the_limit(texts):
    figure = histograms.shares({"train": [8, 8, 9], "test": [3, 102]}, "tokens", 77, whole=True)
    assert {
        "train: 3, median 8, 0.0% beyond 77",
        "test: 2, median 52.5, 50.0% beyond 77",
    } <= set(texts(figure))
    for stairs in figure.axes[0].patches:
        assert stairs.get_data().values.sum() == pytest.approx(100)


def test_counts_get_a_step_each():
    (ax,) = histograms.shares({"a": [1, 2, 2, 2]}, "how many", whole=True).axes
    assert ax.patches[0].get_data().values.tolist() == [0, 25, 75]


def test_shares_of_numbers_between_0_and_1():
    figure = histograms.shares({"a": [0.0, 0.5, 1.0], "empty": []}, "P(Yes)")
    assert [stairs.get_data().values.sum() for stairs in figure.axes[0].patches] == [
        pytest.approx(100),
        0,
    ]


def test_bars_are_uses_in_100_captions_without_plain_words():
    captions = ["A man in a red coat.", "a man in a RED coat", "red, red shoes", "a man"]
    left, right = histograms.words(word_counts(captions), len(captions)).axes
    names = [label.get_text() for label in left.get_yticklabels()]
    bars = dict(zip(names, [bar.get_width() for bar in left.patches], strict=True))
    assert bars == {"red": 100, "man": 75, "coat": 50, "shoes": 25}
    assert not set(bars) & set(histograms.PLAIN.split())
    assert "6 different words, 17 in all" in right.get_title()


def test_top1_similarity_counts_every_query(texts):
    top, right = np.array([-0.1, 0.2, 0.6, 0.7, 0.8, 1.1]), np.array([0, 0, 1, 0, 1, 1], dtype=bool)
    figure = histograms.top1_similarity(top, right, xi=0.5, published=0.55)
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == pytest.approx(200)
    assert figure.axes[0].get_title() == "-- ξ = 0.5: 75% right above, 0% right below"
    assert {"first picture wrong: 3 queries, median 0.200", "the paper's ξ = 0.55"} <= set(
        texts(figure)
    )
    alone = histograms.top1_similarity(top, np.ones(6, bool), xi=1.0, published=0.8)
    assert "no query above, 100% right below" in alone.axes[0].get_title()


def test_p_yes_histogram_shares_add_up_to_100():
    answers = {"raw": (pd.Series([True, True, False]), pd.Series([0.1, 1.0, 0.5]))}
    figure = histograms.p_yes_histogram(answers, 0.4)
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == pytest.approx(200)
