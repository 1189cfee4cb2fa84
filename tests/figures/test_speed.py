import pandas as pd
import pytest

from icl_lib.figures import speed
from icl_lib.speed import galleries


@pytest.fixture
def study():
    rows = [
        (n, index.format(n // 10), ms, recall, weight, 50)
        for n in (1000, 2000)
        for index, ms, recall, weight in (
            ("Flat", 1.0, 100.0, 128),
            ("IVF{},Flat", 0.1, 70.0, 136),
            ("IVF{},Flat", 0.2, 90.0, 136),
        )
    ]
    return pd.DataFrame(rows, columns=["items", "index", "ms", "recall", "bytes", "fixed"])


def test_bars_carry_the_ratio_of_each_way():
    table = pd.DataFrame(
        {"seconds": [8.0, 4.0, 1.0], "ratio": [1.0, 2.0, 8.0]}, index=["released", "a", "b"]
    )
    figure = speed.savings_bars({"Evaluation": table, "An epoch": table})
    assert len(figure.axes) == 2
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["1.0 x", "2.0 x", "8.0 x"]
    assert [bar.get_width() for bar in figure.axes[1].patches] == [8, 4, 1]


def test_growth_draws_every_ratio_there_is():
    evaluation = pd.DataFrame(
        {"pictures": [10, 20], "ratio, kit": [3, 4], "ratio, kit, bf16": [6, 7]}
    )
    metrics = pd.DataFrame({"pictures": [10, 20], "ratio": [5, 6]})
    left, right = speed.ratio_growth(evaluation, metrics).axes
    assert [line.get_label() for line in left.lines[:2]] == ["kit", "kit, bf16"]
    assert right.lines[0].get_ydata().tolist() == [5, 6]


def test_an_index_with_two_options_is_one_line(study):
    for ax in speed.recall_against_time(study).axes:
        assert [line.get_label() for line in ax.lines] == ["Flat", "IVF,Flat"]
        assert ax.lines[1].get_ydata().tolist() == [70, 90] and ax.get_ylim() == (0, 105)


def test_weight_is_drawn_for_every_index(study):
    table = galleries.on_paper(study)
    figure = speed.weight_on_paper(table)
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx(
        table.loc["Flat"].iloc[:-1].tolist()
    )
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1e6, 1e7, 1e8, 1e9]
