"""THI: the golden numbers, a plain transcription of Algorithm 1, and interact under interruption."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from icl_lib.analysis.answerer import simulated_trace
from icl_lib.mllm.prompts import Prompts
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.thi import Trace, grid, interact, questions, refine, released_questions, replay

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "official_reference.safetensors")
POINTS = sorted(key.removeprefix("thi.anchor.") for key in GOLDEN if key.startswith("thi.anchor."))


def ranked(sim):
    return np.argsort(-sim, axis=1, kind="stable")


def algorithm_1(sim, refined, yes, candidates, K, xi, lam):
    """Algorithm 1 and Eq. 6 as loops, question by question; with the questions of two ways of asking."""
    final, anchors, needed, released = [], [], 0, 0
    for q in range(len(sim)):
        anchor, answers, decided = -1, [], False
        top = sim[q][candidates[q][0]]
        for k in range(1, K + 1):
            if k > len(candidates[q]):
                break
            needed += not decided
            released += anchor == -1
            v, answer = candidates[q][k - 1], bool(yes[q][k - 1])
            if k == 1 and answer and top > xi:
                anchor = v
            if k > 1 and answer and not any(answers) and top <= xi:
                anchor = v
            answers.append(answer)
            decided = decided or answer or top > xi
        row = []
        for v in range(len(sim[q])):
            bar = 1.0 if v == anchor else refined[q][v]
            row.append(sim[q][v] if anchor == -1 else lam * sim[q][v] + (1 - lam) * bar)
        final.append(row)
        anchors.append(anchor)
    return np.array(final), np.array(anchors), needed, released


def as_asked(yes, candidates, depth):
    """The trace that stopping at the first Yes leaves behind."""
    p = np.array(yes, dtype=float)
    for row in p:
        first = np.flatnonzero(row)
        row[first[0] + 1 if len(first) else depth :] = np.nan
    return Trace(candidates, p)


@pytest.mark.parametrize("point", POINTS)
def test_golden(point):
    K, xi = int(point[1:].split(".")[0]), float(point.split(".xi")[1])
    sim, refined, yes = (GOLDEN[f"thi.{name}"] for name in ("base", "refined", "yes_by_rank"))
    candidates = ranked(sim)[:, :10]
    for trace in (Trace.from_answers(yes, candidates), as_asked(yes, candidates, 10)):
        final, anchor = replay(sim, refined, trace, K, xi, 0.8)
        assert np.array_equal(anchor, GOLDEN[f"thi.anchor.{point}"])
        assert np.abs(final - GOLDEN[f"thi.final.{point}.lam0.8"]).max() < 1e-6
        calls = released_questions(sim.max(1), trace, K, xi).sum()
        assert calls == GOLDEN[f"thi.official_calls.{point}"][0]
        assert questions(sim.max(1), trace, K, xi).sum() <= calls


@st.composite
def cases(draw):
    Q, G = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.integers(1, 6))  # few levels: many ties, also with ξ
    sim, refined = rng.integers(0, levels, (2, Q, G)) / levels
    yes = rng.random((Q, G)) < draw(st.sampled_from([0, 0.1, 0.5, 1]))
    xi = draw(st.sampled_from([-1.0, 0.0, 1 / levels, 0.5, 1.0]))
    return (
        sim,
        refined,
        yes,
        draw(st.integers(0, 9)),
        xi,
        draw(st.sampled_from([0.0, 0.3, 0.8, 1.0])),
    )


@settings(max_examples=300, deadline=None)
@given(cases())
def test_replay_is_algorithm_1(case):
    sim, refined, yes, K, xi, lam = case
    candidates = ranked(sim)
    final, anchor, needed, released = algorithm_1(sim, refined, yes, candidates, K, xi, lam)
    paths = np.array([[f"{column}.jpg" for column in row] for row in candidates])
    for trace in (
        Trace.from_answers(yes, candidates),
        as_asked(yes, candidates, yes.shape[1]),
        as_asked(yes, paths, yes.shape[1]),
    ):
        mine, found = replay(sim, refined, trace, K, xi, lam)
        assert np.array_equal(found, anchor)
        assert np.allclose(mine, final, atol=1e-12)
        assert questions(sim.max(1), trace, K, xi).sum() == needed
        assert released_questions(sim.max(1), trace, K, xi).sum() == released
    assert needed <= released


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 99))
def test_grid_is_replay_point_by_point(case, seed):
    sim, refined, yes, _, xi, lam = case
    rng = np.random.default_rng(seed)
    query_pids, gallery_pids = rng.integers(0, 3, len(sim)), rng.integers(0, 3, sim.shape[1])
    trace = as_asked(yes, ranked(sim), yes.shape[1])
    table = grid(sim, refined, trace, query_pids, gallery_pids, [0, 1, 3, 8], [xi, 0.4], [lam, 0.5])
    assert len(table) == 16
    for row in table.to_dict("records"):
        final, anchor = replay(sim, refined, trace, int(row["K"]), row["xi"], row["lam"])
        for name, value in retrieval_metrics(final, query_pids, gallery_pids).items():
            assert row[name] == pytest.approx(value, abs=1e-9)
        assert row["anchors"] == (anchor >= 0).sum()
        assert row["questions"] == questions(sim.max(1), trace, int(row["K"]), row["xi"]).sum()


def test_grid_of_a_full_study_covers_every_point():
    rng = np.random.default_rng(0)
    sim, refined = rng.random((2, 500, 1000), dtype=np.float32)
    gallery_pids, query_pids = np.arange(1000) // 5, np.arange(500) % 200
    trace = simulated_trace(ranked(sim)[:, :10], query_pids, gallery_pids, 0.8, 0.2)
    xis, lams = np.linspace(0.9, 1, 13), np.linspace(0, 1, 11)
    table = grid(sim, refined, trace, query_pids, gallery_pids, range(11), xis, lams)
    assert len(table.drop_duplicates(["K", "xi", "lam"])) == 11 * 13 * 11
    row = table[
        (table["K"] == 7) & np.isclose(table["lam"], lams[3]) & np.isclose(table["xi"], xis[5])
    ].iloc[0]
    final, _ = replay(sim, refined, trace, 7, row["xi"], row["lam"])
    assert row["rank1"] == pytest.approx(
        retrieval_metrics(final, query_pids, gallery_pids)["rank1"]
    )


def test_rank_1_yes_below_xi_gives_no_anchor():
    """The case the golden numbers lack: S ≤ ξ and Yes at once leaves 'all earlier answers were No' unmet."""
    sim = np.array([[0.5, 0.4, 0.3]])
    trace = Trace.from_answers([[True, True, False]], ranked(sim))
    assert replay(sim, sim, trace, 3, 0.6, 0.8)[1].tolist() == [-1]
    assert replay(sim, sim, trace, 3, 0.4, 0.8)[1].tolist() == [0]
    assert questions([0.5], trace, 3, 0.6).tolist() == [1]
    assert released_questions([0.5], trace, 3, 0.6).tolist() == [3]


def test_replay_refuses_what_the_trace_cannot_answer():
    sim = np.array([[0.5, 0.4, 0.3, 0.2]])
    shallow = Trace.from_answers([[False, False]], ranked(sim)[:, :2])
    assert replay(sim, sim, shallow, 2, 0.9, 0.8)[1].tolist() == [-1]
    with pytest.raises(ValueError, match="k_max ≥ 3"):
        replay(sim, sim, shallow, 3, 0.9, 0.8)
    assert replay(sim, sim, shallow, 3, 0.1, 0.8)[1].tolist() == [-1]  # S > ξ needs rank 1 alone
    stopped = Trace(ranked(sim), [[0.2, 0.7, np.nan, np.nan]])
    assert replay(sim, sim, stopped, 4, 0.9, 0.8)[1].tolist() == [1]
    with pytest.raises(ValueError, match="ask='all'"):
        replay(sim, sim, dataclasses.replace(stopped, threshold=0.8), 4, 0.9, 0.8)
    assert replay(sim, sim, dataclasses.replace(stopped, threshold=0.1), 4, 0.4, 0.8)[
        1
    ].tolist() == [0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"K": -1}, "whole number"),
        ({"K": 1.5}, "whole number"),
        ({"lam": 1.2}, r"\[0, 1\]"),
        ({"sim_refined": np.zeros((1, 3))}, "shape|wants"),
        ({"sim_refined": np.full((1, 2), np.nan)}, "refined text"),
        ({"trace": Trace.from_answers([[True]], [[7]])}, "beyond the gallery"),
    ],
)
def test_replay_bad_input(change, message):
    sim = np.array([[0.5, 0.4]])
    fine = {
        "sim": sim,
        "sim_refined": sim,
        "trace": Trace.from_answers([[True]], [[0]]),
        "K": 1,
        "xi": 0,
        "lam": 1,
    }
    replay(**fine)
    with pytest.raises(ValueError, match=message):
        replay(**{**fine, **change})


def test_refined_rows_without_anchor_may_be_missing():
    sim = np.array([[0.5, 0.4], [0.5, 0.4]])
    refined = np.array([[0.9, 0.8], [np.nan, np.nan]])
    final, _ = replay(sim, refined, Trace.from_answers([[True], [False]], [[0], [0]]), 1, 0.1, 0.5)
    assert final.tolist() == [[0.75, pytest.approx(0.6)], [0.5, 0.4]]


class Echo:
    """INSTRUMENT, no model: describes a picture by its name, merges by repeating the prompt; keeps both."""

    def __init__(self):
        self.prompts = Prompts(
            characteristics=[{"name": "hat", "question": "Which hat?"}],
            loc="{text}",
            vqa="{questions}",
            aggregate="{text} with {answers}",
            decompose="{text}",
            rewrite="{text}",
            answer_line="{answer}",
            answer_join=", ",
            negatives=["no"],
        )
        self.parse_report, self.described, self.merged = Counter(), [], []

    def write(self, prompts, images=None):
        if images is None:
            self.merged += prompts
            return list(prompts)
        self.described += images
        return [f"1. a hat of {image}" for image in images]


def test_refine_describes_each_anchor_once():
    mllm = Echo()
    trace = Trace.from_answers(
        [[True, True], [False, True], [False, False]], [[2, 0], [1, 2], [0, 1]]
    )
    texts, answers = refine(
        ["a man", "a boy", "one"], trace, mllm, image_paths=["x", "y", "z"], batch_size=1
    )
    assert texts == ["a man with a hat of z", "a boy with a hat of z", "one"]
    assert answers == [{"hat": "a hat of z"}, {"hat": "a hat of z"}, None]
    assert mllm.described == ["z"] and len(mllm.merged) == 2


# --- asking ----------------------------------------------------------------------------------------


class HashAnswerer:
    """INSTRUMENT, no model: P(Yes) is a hash of picture and text; keeps what it was asked."""

    name = "hash"

    def __init__(self, seconds=0.0, log=None):
        self.batches, self.seconds, self.log = [], seconds, log

    def p_yes(self, images, texts):
        time.sleep(self.seconds)
        self.batches.append(list(zip(texts, images)))
        if self.log:
            with open(self.log, "a") as file:
                file.write("x\n" * len(texts))
        return np.array(
            [zlib.crc32(f"{t}|{i}".encode()) % 1000 / 1000 for i, t in zip(images, texts)],
            dtype="f4",
        )

    @property
    def asked(self):
        return [pair for batch in self.batches for pair in batch]


def world(Q=40, G=15, depth=12):
    columns = ranked(np.random.default_rng(1).random((Q, G)))[:, :depth]
    return [f"text {q}" for q in range(Q)], columns, [f"pictures/{g}.jpg" for g in range(G)]


def test_interact_asks_in_rank_order_until_the_first_yes():
    texts, columns, paths = world()
    mllm = HashAnswerer()
    trace = interact(texts, columns, mllm, 10, threshold=0.7, image_paths=paths, batch_size=7)
    expected = []
    for q, text in enumerate(texts):
        for rank in range(10):
            expected.append((text, paths[columns[q, rank]]))
            p = zlib.crc32(f"{text}|{paths[columns[q, rank]]}".encode()) % 1000 / 1000
            assert trace.p_yes[q, rank] == pytest.approx(p)
            if p > 0.7:
                break
        assert trace.first_yes[q] == (rank if p > 0.7 else -1)
        assert np.isnan(trace.p_yes[q, rank + 1 :]).all()
    assert sorted(mllm.asked) == sorted(expected) and trace.asked.sum() == len(expected)
    assert max(map(len, mllm.batches)) <= 7
    first_round = [image for _, image in mllm.asked[: len(texts)]]
    assert first_round == sorted(first_round), "questions are grouped by picture"
    assert np.array_equal(trace.candidates, columns[:, :10])
    rows = trace.rows()
    assert list(rows) == ["query", "rank", "image", "p_yes", "seconds"] and len(rows) == len(
        expected
    )


def test_interact_takes_paths_columns_and_both():
    texts, columns, paths = world()
    as_paths = [[paths[column] for column in row] for row in columns]
    by_column = interact(texts, columns, HashAnswerer(), 5, image_paths=paths)
    by_path = interact(texts, as_paths, HashAnswerer(), 5)
    both = interact(texts, np.array(as_paths, dtype=object), HashAnswerer(), 5, image_paths=paths)
    for other in (by_path, both):
        assert np.array_equal(other.p_yes, by_column.p_yes, equal_nan=True)
    assert np.array_equal(both.candidates, by_column.candidates)
    assert by_path.candidates[3, 2] == as_paths[3][2]


def test_limits_a_query_are_all_that_one_xi_needs():
    texts, columns, paths = world()
    top = np.random.default_rng(2).random(len(texts))
    full = interact(texts, columns, HashAnswerer(), 10, image_paths=paths)
    lean = interact(texts, columns, HashAnswerer(), np.where(top > 0.5, 1, 5), image_paths=paths)
    assert lean.asked.sum() == questions(top, full, 5, 0.5).sum() < full.asked.sum()
    sim = np.full((len(texts), 15), 0.0)
    np.put_along_axis(sim, columns, top[:, None] - 0.01 * np.arange(12), axis=1)
    for one, two in zip(replay(sim, sim, lean, 5, 0.5, 0.8), replay(sim, sim, full, 5, 0.5, 0.8)):
        assert np.array_equal(one, two)


def test_gallery_smaller_than_k_max():
    texts, columns, paths = world(Q=4, G=3, depth=3)
    trace = interact(texts, columns, HashAnswerer(), 10, threshold=1.0, image_paths=paths)
    assert trace.k_max == 3 and trace.asked.tolist() == [3] * 4
    assert replay(np.eye(4, 3), np.eye(4, 3), trace, 9, 2.0, 0.5)[1].tolist() == [-1] * 4


def test_ask_all_goes_on_behind_the_first_yes():
    texts, columns, paths = world()
    trace = interact(texts, columns, HashAnswerer(), 6, image_paths=paths, ask="all")
    assert trace.asked.tolist() == [6] * len(texts)
    stopped = interact(texts, columns, HashAnswerer(), 6, image_paths=paths)
    assert np.array_equal(stopped.first_yes, trace.first_yes)
    assert stopped.extra.sum() == 0 < trace.extra.sum()
    assert np.array_equal(trace.asked - trace.extra, stopped.asked), (
        "the extra questions are counted as such"
    )


def test_asking_on_asks_only_what_is_missing(tmp_path):
    texts, columns, paths = world()
    interact(texts, columns, HashAnswerer(), 6, image_paths=paths, folder=tmp_path)
    mllm = HashAnswerer()
    trace = interact(texts, columns, mllm, 6, image_paths=paths, folder=tmp_path, ask="all")
    assert len(mllm.asked) == trace.extra.sum() > 0


def test_nothing_is_asked_twice(tmp_path):
    texts, columns, paths = world()
    first = HashAnswerer()
    interact(texts, columns, first, 4, image_paths=paths, folder=tmp_path)
    deeper = HashAnswerer()
    trace = interact(texts, columns, deeper, 10, image_paths=paths, folder=tmp_path)
    assert not set(first.asked) & set(deeper.asked)
    plain = interact(texts, columns, HashAnswerer(), 10, image_paths=paths)
    assert np.array_equal(trace.p_yes, plain.p_yes, equal_nan=True)
    again = HashAnswerer()
    interact(texts, columns, again, 10, image_paths=paths, folder=tmp_path, threshold=0.2)
    assert again.asked == []
    other = HashAnswerer()
    other.name = "another model"
    interact(texts, columns, other, 10, image_paths=paths, folder=tmp_path)
    assert len(other.asked) == plain.asked.sum()


def test_a_line_cut_off_by_a_kill_is_asked_again(tmp_path):
    texts, columns, paths = world()
    whole = interact(texts, columns, HashAnswerer(), 10, image_paths=paths, folder=tmp_path)
    (journal,) = tmp_path.glob("answers-*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-9])
    for questions_left in (1, 0):
        mllm = HashAnswerer()
        trace = interact(texts, columns, mllm, 10, image_paths=paths, folder=tmp_path)
        assert len(mllm.asked) == questions_left
        assert np.array_equal(trace.p_yes, whole.p_yes, equal_nan=True)


def test_kill_9_and_resume(tmp_path):
    """A process is killed in the middle; the next one asks what the journal lacks, to the same end."""
    log, folder, batch = tmp_path / "log", tmp_path / "trace", 4
    code = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[2])!r}]\n"
        "from test_algorithm1 import HashAnswerer, world; from icl_lib.thi import interact\n"
        "texts, columns, paths = world()\n"
        f"interact(texts, columns, HashAnswerer(0.02, {str(log)!r}), 10, threshold=0.9, image_paths=paths,"
        f" folder={str(folder)!r}, batch_size={batch})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    patience = time.monotonic() + 180
    while not (log.exists() and len(log.read_text().split()) >= 60):
        assert process.poll() is None and time.monotonic() < patience, (
            "ended before it could be killed"
        )
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (journal,) = folder.glob("answers-*.jsonl")
    kept, answered = journal.read_bytes().count(b"\n"), len(log.read_text().split())
    assert not (folder / "trace.npz").exists() and 0 < kept <= answered <= kept + batch
    texts, columns, paths = world()
    mllm = HashAnswerer()
    trace = interact(
        texts, columns, mllm, 10, threshold=0.9, image_paths=paths, folder=folder, batch_size=batch
    )
    undisturbed = interact(texts, columns, HashAnswerer(), 10, threshold=0.9, image_paths=paths)
    assert np.array_equal(trace.p_yes, undisturbed.p_yes, equal_nan=True)
    assert len(mllm.asked) == undisturbed.asked.sum() - kept > 0


def test_save_and_load(tmp_path):
    texts, columns, paths = world()
    trace = interact(
        texts, columns, HashAnswerer(), 6, threshold=0.8, image_paths=paths, folder=tmp_path
    )
    loaded = Trace.load(tmp_path)
    assert loaded.threshold == 0.8
    for name in ("candidates", "p_yes", "seconds"):
        assert np.array_equal(
            getattr(loaded, name), getattr(trace, name), equal_nan=name != "candidates"
        )
    with pytest.raises(FileNotFoundError, match="No finished trace"):
        Trace.load(tmp_path / "elsewhere")


class Broken:
    """INSTRUMENT: breaks p_yes's promise."""

    name = "broken"

    def __init__(self, said):
        self.said = said

    def p_yes(self, images, texts):
        return self.said


@pytest.mark.parametrize("said", [[0.5], [np.nan, 0.5], [0.5, 1.5], [[0.5], [0.5]], [-0.1, 0.2]])
def test_broken_promises_are_named(said, tmp_path):
    with pytest.raises(ValueError, match="2 probabilities"):
        interact(["a", "b"], [["x.jpg"], ["y.jpg"]], Broken(said), 1, folder=tmp_path)


def test_interact_bad_input():
    with pytest.raises(ValueError, match="2 queries"):
        interact(["a", "b"], [["x.jpg"]], HashAnswerer(), 1)
    with pytest.raises(ValueError, match="equally many"):
        interact(["a", "b"], [["x.jpg"], ["x.jpg", "y.jpg"]], HashAnswerer(), 1)
    with pytest.raises(ValueError, match="none of the 1 image_paths"):
        interact(["a"], [[1]], HashAnswerer(), 1, image_paths=["x.jpg"])
    with pytest.raises(ValueError, match="none of the 1 image_paths"):
        interact(["a"], [["y.jpg"]], HashAnswerer(), 1, image_paths=["x.jpg"])
    with pytest.raises(ValueError, match="'first' stops"):
        interact(["a"], [["y.jpg"]], HashAnswerer(), 1, ask="some")
    with pytest.raises(ValueError, match="one shape"):
        Trace.from_answers([[True, False]], [[0]])
    with pytest.raises(ValueError, match="True and False"):
        Trace.from_answers([[0.4]], [[0]])
    with pytest.raises(ValueError, match="must lie in"):
        Trace([[0]], [[1.4]])


def test_no_queries_at_all(tmp_path):
    trace = interact([], [], HashAnswerer(), 5, folder=tmp_path)
    assert (
        trace.p_yes.shape == (0, 0)
        and len(trace.rows()) == 0
        and len(Trace.load(tmp_path).p_yes) == 0
    )


def test_simulated_trace_has_the_dialled_rates():
    query_pids, gallery_pids = np.arange(200), np.repeat(np.arange(200), 5)
    candidates = ranked(np.random.default_rng(0).random((200, 1000)))[:, :400]
    yes = simulated_trace(candidates, query_pids, gallery_pids, 0.9, 0.2, seed=3).p_yes > 0.5
    right = gallery_pids[candidates] == query_pids[:, None]
    assert yes[right].mean() == pytest.approx(0.9, abs=0.06) and yes[
        ~right
    ].mean() == pytest.approx(0.2, abs=0.02)
