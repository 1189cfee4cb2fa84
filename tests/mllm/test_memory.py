import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from icl_lib.mllm import Memory
from icl_lib.mllm.prompts import load_prompts
from icl_lib.params.paths import repo_root


@pytest.fixture
def file(tmp_path):
    return tmp_path / "answers.sqlite"


def test_nothing_is_asked_twice(scripted, file, pictures):
    inner = scripted(reply=lambda prompt, image: f"{prompt} on {image}")
    first = Memory(inner, file)
    images, texts = pictures[:4] * 2, [f"text {i % 3}" for i in range(8)]
    p, written = first.p_yes(images, texts), first.write(texts, images)
    again = Memory(scripted(p=None, reply=None), file)
    np.testing.assert_array_equal(again.p_yes(images, texts), p)
    assert again.write(texts, images) == written
    assert again.inner.asked == again.inner.written == []
    assert (again.hits, again.misses) == (16, 0) and "100% of 16 found" in again.summary()
    assert p.dtype == np.float32 and len(again) == first.misses


def test_equal_questions_in_one_call_are_asked_once(scripted, file, pictures):
    memory = Memory(scripted(), file)
    memory.p_yes([pictures[0]] * 5 + [pictures[1]], ["same"] * 6)
    assert len(memory.inner.asked) == 2 and (memory.hits, memory.misses) == (4, 2)


def test_answers_come_back_in_the_order_asked(scripted, file, pictures):
    inner = scripted(
        p=lambda image, text: float(text) / 100, reply=lambda prompt, image: prompt.upper()
    )
    memory = Memory(inner, file)
    order = np.random.default_rng(0).permutation(50)
    p = memory.p_yes([pictures[i % 8] for i in order], [str(i) for i in order])
    np.testing.assert_allclose(p, order / 100, rtol=1e-6)
    assert memory.write([f"p{i}" for i in order]) == [f"P{i}" for i in order]


def test_the_picture_s_content_counts_not_its_name(scripted, file, pictures, tmp_path):
    memory = Memory(scripted(), file)
    memory.p_yes([pictures[0]], ["a"])
    moved = tmp_path / "moved.png"
    moved.write_bytes(Path(pictures[0]).read_bytes())
    memory.p_yes([str(moved)], ["a"])
    assert memory.misses == 1
    moved.write_bytes(Path(pictures[1]).read_bytes())
    memory.p_yes([str(moved)], ["a"])
    assert memory.misses == 2


def test_another_model_wording_or_length_is_another_question(scripted, file, pictures):
    def asked(change):
        inner = scripted(reply=lambda prompt, image: "x")
        change(inner)
        memory = Memory(inner, file)
        memory.p_yes(pictures[:1], ["a"])
        memory.write(["b"])
        return len(inner.asked), len(inner.written)

    assert asked(lambda inner: None) == (1, 1)
    assert asked(lambda inner: None) == (0, 0)
    assert asked(lambda inner: setattr(inner, "name", "with adapter")) == (1, 0)
    assert asked(lambda inner: setattr(inner, "writer_name", "other weights")) == (0, 1)
    assert asked(lambda inner: setattr(inner, "max_new_tokens", 99)) == (0, 1)
    other = load_prompts("full", repo_root() / "params" / "prompts").model_copy(
        update={"loc": "Fits? {text}"}
    )
    assert asked(lambda inner: setattr(inner, "prompts", other)) == (1, 0)


def test_an_error_loses_no_committed_answer(scripted, file, pictures):
    calls = []

    def p(image, text):
        calls.append(text)
        if len(calls) > 30:
            raise RuntimeError("out of memory")
        return 0.5

    with pytest.raises(RuntimeError):
        Memory(scripted(p=p), file).p_yes(pictures[:1] * 60, [str(i) for i in range(60)])
    kept = len(Memory(scripted(), file))
    assert 4 <= kept <= 30
    memory = Memory(scripted(), file)
    memory.p_yes(pictures[:1] * 60, [str(i) for i in range(60)])
    assert (memory.hits, memory.misses) == (kept, 60 - kept)


def _fill(file, prompts, picture, start, count, pause):
    from icl_lib.mllm.base import MLLM

    class Slow(MLLM):
        name = writer_name = "slow"
        batch_size, max_new_tokens = 1, 1

        def p_yes(self, images, texts):
            time.sleep(pause * len(texts))
            return np.array([float(text) for text in texts], np.float32)

        def write(self, prompts, images=None):
            return list(prompts)

    inner = Slow()
    inner.prompts = prompts
    Memory(inner, file).p_yes([picture] * count, [str(start + i) for i in range(count)])


def spawned(*arguments):
    process = multiprocessing.get_context("fork").Process(target=_fill, args=arguments)
    process.start()
    return process


def test_two_processes_write_at_once(scripted, file, pictures):
    prompts = scripted().prompts
    both = [spawned(file, prompts, pictures[0], start, 60, 0.002) for start in (0, 30)]
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert len(Memory(scripted(), file)) == 90


def test_kill_9_loses_little_and_breaks_nothing(scripted, file, pictures):
    prompts = scripted().prompts
    process = spawned(file, prompts, pictures[0], 0, 10_000, 0.001)
    deadline = time.time() + 20
    while time.time() < deadline and (not file.exists() or _count(file) < 20):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    kept = len(Memory(scripted(), file))
    assert 20 <= kept < 10_000
    _fill(file, prompts, pictures[0], 0, kept + 5, 0)
    assert len(Memory(scripted(), file)) == kept + 5


def _count(file):
    try:
        with sqlite3.connect(file) as database:
            return database.execute("SELECT count(*) FROM answers").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_a_damaged_file_is_named(scripted, file):
    file.write_bytes(b"no database at all " * 100)
    with pytest.raises(ValueError, match=r"answers.sqlite is damaged"):
        Memory(scripted(), file)
