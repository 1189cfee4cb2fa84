"""Rules over what they cost."""

import pandas as pd

from icl_lib.figures.evidence import over_cost, over_questions_everywhere


def test_gains_start_from_the_rule_without_questions():
    metrics = {"rank1": [40.0, 50], "rank5": [60.0, 61], "mAP": [30.0, 33], "mINP": [10.0, 12]}
    line = pd.DataFrame({"questions": [0.0, 2], **metrics})
    point = pd.DataFrame({"questions": [1.5], "rank1": 46.0, "rank5": 62, "mAP": 31, "mINP": 9})
    figure = over_cost({"evidence": line, "gate": point}, "questions", "questions", 20)
    first, _, third, last = figure.axes
    assert first.lines[0].get_ydata().tolist() == [0, 10]
    assert third.lines[1].get_xydata().tolist() == [[1.5, 1.0]]
    assert last.lines[1].get_xydata().tolist() == [[1.5, -1.0]]
    assert "Rank-1, gain over 40.0" in first.get_title()
    assert {ax.get_ylim() for ax in figure.axes} == {(-5, 20)}
    tight = over_cost({"evidence": line, "gate": point}, "questions", "questions", 8)
    assert {ax.get_ylim() for ax in tight.axes} == {(-5, 13)}, "Rank-1 gains 10"
    assert [text.get_text() for text in figure.legends[0].texts] == ["evidence", "gate"]


def test_on_every_data_set_gains_start_from_its_own_first_line():
    def table(setting, **rows):
        parts = {
            title: pd.DataFrame({"questions": questions, "rank1": rank1}).assign(
                rank5=90.0, mAP=50.0, mINP=30.0
            )
            for title, (questions, rank1) in rows.items()
        }
        return pd.concat(parts, names=["dataset", setting])

    plain = table("K", A=([1.0, 0.0], [44.0, 40.0]), B=([0.0, 2.0], [70.0, 75.0]))
    better = table("budget", A=([0.0, 1.5], [41.0, 48.0]), B=([0.0, 2.0], [70.0, 79.0]))
    figure = over_questions_everywhere({"Algorithm 1": plain, "evidence": better}, 20)
    assert [ax.lines[1].get_ydata().tolist() for ax in figure.axes[::4]] == [[1, 8], [0, 9]]
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 4], [0, 0]]
    assert "from 40.0" in figure.axes[0].get_title() and "from 70.0" in figure.axes[4].get_title()
