"""The paper's tables are complete, and its values stand beside ours."""

import numpy as np
import pytest

from icl_lib.analysis.paper import beside_paper, paper_results, paper_table


def test_the_papers_tables_are_complete():
    sizes = {number: len(paper_table(f"table{number}")) for number in range(1, 7)}
    assert sizes == {1: 45, 2: 10, 3: 36, 4: 24, 5: 18, 6: 12}
    assert paper_table("table6_ablation").equals(paper_table("table6"))
    with pytest.raises(ValueError, match="did you mean 'table6_ablation'"):
        paper_table("table6_ablations")


@pytest.mark.parametrize(
    ("dataset", "icl", "thi"),
    [
        ("rstp", 67.70, 70.55),
        ("cuhk", 76.41, 77.91),
        ("icfg", 68.11, 69.02),
        ("ufine", 89.17, 90.67),
    ],
)
def test_paper_results_of_each_benchmark(dataset, icl, thi):
    table = paper_results(dataset)
    assert table.index.is_unique
    assert table.loc["ICL", "rank1"] == icl
    assert table.loc["ICL+THI", "rank1"] == thi
    assert "RDE" in table.index


def test_our_metrics_stand_beside_the_papers():
    metrics = {"rank1": 45.0, "rank5": 60.0, "rank10": 70.0, "mAP": 33.0, "mINP": 20.0}
    results = {
        "ours": {**metrics, "ci95": {"rank1": [43.0, 47.25]}},
        "not in the paper": {**metrics, "ci95": {}},
    }
    table = beside_paper(results, "rstp", {"ours": "ICL"}).set_index("method")
    assert table.loc["ours", "rank1 95% interval"] == "43.0 – 47.2"
    assert table.loc["ours", "paper mAP"] == 52.62
    assert np.isnan(table.loc["not in the paper", "paper rank1"])
