"""Each failed query gets the causes that its ranking and its answers say, one of them first."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interactions import XI, interaction

from icl_lib.analysis import causes
from icl_lib.analysis.answerer import simulated_trace
from icl_lib.analysis.cases import cases
from icl_lib.data import read_benchmark
from icl_lib.data.manifest import captions, images
from icl_lib.data.standin import make_standin, read_truth
from icl_lib.data.standin.truth import identities_that_fit
from icl_lib.thi import Trace, replay


def replayed(run, K, xi=XI, lam=0.2):
    """(table, similarities after THI, anchors)."""
    final, anchor = replay(run.sim, run.sim_refined, run.trace, K, xi, lam)
    return cases(run, final, anchor), final, anchor


def test_every_cause_of_every_failure(run):
    table, final, _ = replayed(run, 3)
    flags = causes.causes(
        run,
        table,
        final,
        3,
        XI,
        text_cut=[True] * 8,
        fits=[1, 1, 1, 2, 1, 1, 1, 1],
        bad=[False, True] + [True] * 6,
    )
    assert flags.columns.tolist() == list(causes.CAUSES) and flags.index.tolist() == list(range(8))
    found = {
        q: [name for name in flags if flags.loc[q, name]]
        for q in np.flatnonzero(table["after"] > 1)
    }
    assert found == {
        0: ["missed Yes", "wrong Yes", "merged text cut"],
        2: ["list not walked", "wrong Yes", "bad description", "merged text cut"],
        3: ["caption fits others", "list not walked"],
        4: ["missed Yes"],
        5: ["first Yes unused"],
    }, "failures only: not the repaired, the right and the absent"


def test_causes_depend_on_K(run):
    table, final, _ = replayed(run, 2)
    flags = causes.causes(run, table, final, 2, XI)
    assert flags.loc[1, "out of reach"] and flags.loc[5, "out of reach"], (
        "rank 3 is beyond two rounds"
    )
    assert not {"merged text cut", "bad description", "caption fits others"} & set(flags)
    table, final, _ = replayed(run, 0)
    assert causes.causes(run, table, final, 0, XI)["out of reach"].all(), (
        "without rounds nothing is within reach"
    )


def test_a_right_anchor_whose_person_loses_another_picture():
    """The anchor stays first, and the merged text ranks the stranger above a picture."""
    sim, refined = [[0.9, 0.8, 0.6, 0.5]], [[0.9, 0.8, 0.1, 0.7]]
    run = interaction([1], [1, 1, 1, 2], sim, refined, Trace([[0, 1]], [[0.9, np.nan]]))
    table, final, _ = replayed(run, 2, lam=0.1)
    assert table["anchor_right"][0] and table["AP_after"][0] < table["AP_before"][0] == 100
    flags = causes.causes(run, table, final, 2, XI)
    assert [name for name in flags if flags.loc[0, name]] == ["others fell"]
    others = causes.others_precision(run, table, final)
    assert others.loc[0].tolist() == [100, pytest.approx(100 * (1 + 2 / 3) / 2)]
    kept, same, _ = replayed(run, 2, lam=1.0)
    assert not causes.others_fell(run, kept, same).any(), "at lambda 1 nothing moves"


def test_counts_share_the_failures_out(run):
    table, final, _ = replayed(run, 3)
    flags, failed = (
        causes.causes(run, table, final, 3, XI),
        causes.failures(table)["first picture wrong"],
    )
    counts = causes.cause_counts(flags, failed)
    assert counts.loc["wrong Yes", ["queries", "first"]].tolist() == [2, 0]
    missed = counts.loc["missed Yes", ["queries", "first", "example"]].tolist()
    assert missed == [2, 2, 4], "the example has the fewest other causes"
    assert counts.loc["out of reach", ["queries", "example"]].tolist() == [0, -1]
    assert counts["first"].sum() == failed.sum() == 5
    assert counts["first share (%)"].sum() == pytest.approx(100)
    elsewhere = counts.loc["out of reach", "share elsewhere (%)"]
    assert elsewhere == pytest.approx(100 / 3), "the absent one, of queries 1, 6 and 7"
    shown = causes.examples(
        {"first picture wrong": counts, "AP fell": causes.cause_counts(flags, failed & False)}
    )
    assert shown.loc["missed Yes", ["way", "query"]].tolist() == ["first picture wrong", 4]
    assert "out of reach" not in shown.index


def test_no_failure_is_no_error(run):
    table, final, _ = replayed(run, 3)
    flags = causes.causes(run, table, final, 3, XI)
    none = causes.cause_counts(flags, np.zeros(8, dtype=bool))
    assert (
        none["queries"].sum() == 0
        and (none["example"] == -1).all()
        and causes.examples({"none": none}).empty
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    K=st.integers(0, 5),
    xi=st.sampled_from([0.3, 0.8, 1.0]),
    lam=st.sampled_from([0, 0.4, 1]),
)
def test_every_failure_has_a_cause(seed, K, xi, lam):
    """Whatever the answers: the causes are complete for Rank-1 and AP; only anchors move AP."""
    rng = np.random.default_rng(seed)
    pids, gallery = rng.integers(0, 6, 30), rng.integers(0, 6, 20)
    sim, refined = rng.random((2, 30, 20))
    trace = simulated_trace(
        np.argsort(-sim, axis=1, kind="stable")[:, :5], pids, gallery, 0.7, 0.3, seed
    )
    run = interaction(pids, gallery, sim, refined, trace)
    table, final, anchor = replayed(run, K, xi, lam)
    flags, ways = causes.causes(run, table, final, K, xi), causes.failures(table)
    for failed in ways.values():
        counts = causes.cause_counts(flags, failed)
        assert counts.loc["none of these", "queries"] == 0 and counts["first"].sum() == failed.sum()
    assert not (ways["AP fell"] & (anchor < 0)).any()


def test_a_description_that_leads_away_from_its_picture(run):
    _, _, anchor = replayed(run, 3)
    assert not causes.bad_descriptions(run, anchor).any(), "the same text finds the same picture"
    run = replace(run, sim_refined=run.sim.copy())
    run.sim_refined[1] = [0.5, 0.45, 0.4, 0.1]  # its anchor, column 3, was third and is fourth
    run.sim_refined[4] = 0  # no anchor
    assert np.flatnonzero(causes.bad_descriptions(run, anchor)).tolist() == [1]


def test_a_description_is_held_against_what_was_drawn(tmp_path):
    """A text that adds one true and two wrong facts is bad; a repeated wrong caption is not."""
    make_standin("rstp", tmp_path, {"train": 1, "val": 1, "test": 4}, images_per_id=2, workers=1)
    table = images(read_benchmark("rstp", tmp_path), "test").reset_index(drop=True)
    truth = read_truth(tmp_path)["pictures"]
    shown = [truth[Path(path).name] for path in table["path"]]
    needed = {"upper", "upper_colour", "shoes", "shoes_colour"}
    at = next(i for i, one in enumerate(shown) if needed <= set(one["seen"]))
    drawn = shown[at]["truth"]
    garment, shoes = drawn["upper"], drawn["shoes"]
    wrong = ["red", "green"] if drawn["upper_colour"] not in ("red", "green") else ["blue", "white"]
    other = "pink" if drawn["shoes_colour"] != "pink" else "black"
    caption = f"A person in a {wrong[0]} {garment}."
    texts = [caption, f"A person in a {wrong[1]} {garment} and {other} {shoes}."]
    run = SimpleNamespace(
        queries=pd.DataFrame({"caption": [caption] * 3}), gallery=table, texts=[*texts, texts[1]]
    )
    anchor = np.array([at, at, -1])
    facts = causes.added_facts(run, anchor, tmp_path)
    assert set(facts["query"]) == {1}, "what the caption said is not the description's"
    verdicts = dict(zip(facts["attribute"], facts["verdict"], strict=True))
    assert verdicts == {
        "upper_colour": "contradicted",
        "shoes": "fits",
        "shoes_colour": "contradicted",
    }
    assert causes.bad_descriptions(run, anchor, tmp_path).tolist() == [False, True, False]


def test_identities_that_fit_agrees_with_the_truth(tmp_path):
    make_standin("rstp", tmp_path, {"train": 1, "val": 1, "test": 12}, images_per_id=2, workers=1)
    manifest = read_benchmark("rstp", tmp_path)
    queries, gallery = captions(manifest, "test"), images(manifest, "test")
    fits = identities_that_fit(tmp_path, queries, gallery)
    assert len(fits) == len(queries) and fits.min() >= 1 and fits.max() <= 12
    pictures = read_truth(tmp_path)["pictures"]
    row = queries.iloc[5]
    told = pictures[Path(row["path"]).name]
    facts = told["facts"][told["captions"].index(row["caption"])]
    best = {}
    for path, pid in zip(gallery["path"], gallery["pid"], strict=True):
        held = sum(
            pictures[Path(path).name]["truth"][name] == value for name, value in facts.items()
        )
        best[pid] = max(best.get(pid, 0), held)
    assert fits[5] == sum(score >= best[row["pid"]] for score in best.values())
