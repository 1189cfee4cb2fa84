"""Asking along the ranking: what is asked and when, and how a killed run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import thi_answers
from thi_answers import HashAnswerer, world

from icl_lib.thi import Trace, interact, questions, replay


def test_each_query_is_asked_in_rank_order_until_its_first_yes():
    texts, columns, paths = world()
    mllm = HashAnswerer()
    trace = interact(texts, columns, mllm, 10, threshold=0.7, image_paths=paths, batch_size=7)
    expected = []
    for q, text in enumerate(texts):
        for rank in range(10):
            expected.append((text, paths[columns[q, rank]]))
            p = mllm.answer(*expected[-1])
            assert trace.p_yes[q, rank] == pytest.approx(p)
            if p > 0.7:
                break
        assert trace.first_yes[q] == (rank if p > 0.7 else -1)
        assert np.isnan(trace.p_yes[q, rank + 1 :]).all()
    assert sorted(mllm.asked) == sorted(expected) and trace.asked.sum() == len(expected)
    assert max(map(len, mllm.batches)) <= 7
    first_round = [image for _, image in mllm.asked[: len(texts)]]
    assert first_round == sorted(first_round), "questions are grouped by image"
    assert np.array_equal(trace.candidates, columns[:, :10])
    assert np.array_equal(np.isnan(trace.seconds), np.isnan(trace.p_yes))


def test_candidates_are_gallery_columns_or_paths():
    texts, columns, paths = world()
    as_paths = [[paths[column] for column in row] for row in columns]
    by_column = interact(texts, columns, HashAnswerer(), 5, image_paths=paths)
    by_path = interact(texts, as_paths, HashAnswerer(), 5)
    assert np.array_equal(by_path.p_yes, by_column.p_yes, equal_nan=True)
    assert by_path.candidates[3, 2] == as_paths[3][2]


def test_a_limit_for_each_query_asks_only_what_one_xi_needs():
    texts, columns, paths = world()
    top = np.random.default_rng(2).random(len(texts))
    full = interact(texts, columns, HashAnswerer(), 10, image_paths=paths)
    lean = interact(texts, columns, HashAnswerer(), np.where(top > 0.5, 1, 5), image_paths=paths)
    assert lean.asked.sum() == questions(top, full, 5, 0.5).sum() < full.asked.sum()
    sim = np.full((len(texts), 15), 0.0)
    np.put_along_axis(sim, columns, top[:, None] - 0.01 * np.arange(12), axis=1)
    replays = (replay(sim, sim, trace, 5, 0.5, 0.8) for trace in (lean, full))
    for one, two in zip(*replays, strict=True):
        assert np.array_equal(one, two)


def test_a_gallery_smaller_than_k_max_is_asked_to_its_end():
    texts, columns, paths = world(Q=4, G=3, depth=3)
    trace = interact(texts, columns, HashAnswerer(), 10, threshold=1.0, image_paths=paths)
    assert trace.k_max == 3 and trace.asked.tolist() == [3] * 4


def test_ask_all_goes_on_after_the_first_yes():
    texts, columns, paths = world()
    whole = interact(texts, columns, HashAnswerer(), 6, image_paths=paths, ask="all")
    assert whole.asked.tolist() == [6] * len(texts)
    stopped = interact(texts, columns, HashAnswerer(), 6, image_paths=paths)
    assert np.array_equal(stopped.first_yes, whole.first_yes)
    asked = ~np.isnan(stopped.p_yes)
    assert np.array_equal(stopped.p_yes[asked], whole.p_yes[asked]) and not asked.all()


def test_nothing_is_asked_twice_in_one_folder(tmp_path):
    texts, columns, paths = world()

    def asks(k_max, mllm=None, **others):
        mllm = mllm or HashAnswerer()
        trace = interact(texts, columns, mllm, k_max, image_paths=paths, folder=tmp_path, **others)
        return mllm.asked, trace

    first, _ = asks(4)
    deeper, trace = asks(10)
    assert deeper and not set(first) & set(deeper)
    plain = interact(texts, columns, HashAnswerer(), 10, image_paths=paths)
    assert np.array_equal(trace.p_yes, plain.p_yes, equal_nan=True)
    assert asks(10, threshold=0.2)[0] == []
    beyond, whole = asks(10, ask="all")
    assert len(beyond) == whole.asked.sum() - plain.asked.sum() > 0
    other = HashAnswerer()
    other.name = "another model"
    assert len(asks(10, other)[0]) == plain.asked.sum()


def test_the_finished_trace_is_saved(tmp_path):
    texts, columns, paths = world()
    trace = interact(texts, columns, HashAnswerer(), 6, 0.8, paths, folder=tmp_path)
    loaded = Trace.load(tmp_path)
    assert loaded.threshold == 0.8 and np.array_equal(loaded.candidates, trace.candidates)
    assert np.array_equal(loaded.p_yes, trace.p_yes, equal_nan=True)


def test_an_answer_cut_short_by_a_kill_is_asked_again(tmp_path):
    texts, columns, paths = world()
    whole = interact(texts, columns, HashAnswerer(), 10, image_paths=paths, folder=tmp_path)
    (journal,) = tmp_path.glob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-9])
    for questions_left in (1, 0):
        mllm = HashAnswerer()
        trace = interact(texts, columns, mllm, 10, image_paths=paths, folder=tmp_path)
        assert len(mllm.asked) == questions_left
        assert np.array_equal(trace.p_yes, whole.p_yes, equal_nan=True)


def test_a_run_ended_by_kill_9_goes_on_where_it_stopped(tmp_path):
    """The next run asks only what the journal lacks, and ends with the same trace."""
    log, folder, batch = tmp_path / "log", tmp_path / "trace", 4
    code = (
        f"import sys; sys.path[:0] = [{str(Path(thi_answers.__file__).parent)!r}, "
        f"{str(Path(__file__).parents[2])!r}]\n"
        "from thi_answers import HashAnswerer, world; from icl_lib.thi import interact\n"
        "texts, columns, paths = world()\n"
        f"mllm = HashAnswerer(0.02, {str(log)!r})\n"
        "interact(texts, columns, mllm, 10, threshold=0.9, image_paths=paths, "
        f"folder={str(folder)!r}, batch_size={batch})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    patience = time.monotonic() + 180
    while not (log.exists() and len(log.read_text().split()) >= 60):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < patience, "it does not ask"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (journal,) = folder.glob("*.jsonl")
    kept, answered = journal.read_bytes().count(b"\n"), len(log.read_text().split())
    assert not (folder / "trace.npz").exists() and 0 < kept <= answered <= kept + batch
    texts, columns, paths = world()
    mllm = HashAnswerer()
    trace = interact(texts, columns, mllm, 10, 0.9, paths, folder=folder, batch_size=batch)
    undisturbed = interact(texts, columns, HashAnswerer(), 10, 0.9, paths)
    assert np.array_equal(trace.p_yes, undisturbed.p_yes, equal_nan=True)
    assert len(mllm.asked) == undisturbed.asked.sum() - kept > 0


class Broken:
    """INSTRUMENT: an MLLM that does not return what it should."""

    name = "broken"

    def __init__(self, said):
        self.said = said

    def p_yes(self, images, texts):
        return self.said


@pytest.mark.parametrize("said", [[0.5], [np.nan, 0.5], [0.5, 1.5], [[0.5], [0.5]], [-0.1, 0.2]])
def test_anything_but_one_probability_a_question_is_refused(said, tmp_path):
    with pytest.raises(ValueError, match="2 probabilities"):
        interact(["a", "b"], [["x.jpg"], ["y.jpg"]], Broken(said), 1, folder=tmp_path)


@pytest.mark.parametrize(
    "candidates, others, message",
    [
        ([["x.jpg"]], {}, "2 queries"),
        ([["x.jpg"], ["x.jpg", "y.jpg"]], {}, "equally many"),
        ([[1], [0]], {"image_paths": ["x.jpg"]}, "candidate 1 is none of the 1 image_paths"),
        ([["y.jpg"], ["x.jpg"]], {"image_paths": ["x.jpg"]}, "none of the 1 image_paths"),
        ([["x.jpg"], ["y.jpg"]], {"ask": "some"}, "'first' stops"),
    ],
)
def test_bad_input_is_refused(candidates, others, message):
    with pytest.raises(ValueError, match=message):
        interact(["a", "b"], candidates, HashAnswerer(), 1, **others)


def test_no_queries_make_an_empty_trace(tmp_path):
    trace = interact([], [], HashAnswerer(), 5, folder=tmp_path)
    assert trace.p_yes.shape == (0, 0) and len(trace.rows()) == 0
    assert len(Trace.load(tmp_path).p_yes) == 0
