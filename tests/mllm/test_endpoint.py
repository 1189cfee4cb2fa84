"""Asking a server that fails in many ways: retries, limits, messages, the key, many at once."""

import asyncio
import email.utils
import socket
import threading
import time

import pytest
from fake_server import prompt_of, refused, serving
from server_fixtures import HASTY, PATIENT, parrot

from icl_lib.mllm.endpoint import Endpoint, Refused


@pytest.mark.parametrize(
    ("nasty", "settings"),
    [
        (refused(429, "slow down"), PATIENT),
        (refused(429, "slow down", Retry_After="0.01"), PATIENT),
        (refused(500, "out of memory"), PATIENT),
        (refused(503, "loading"), PATIENT),
        ("cut", PATIENT),
        ((200, {}, b"<html>not what you think</html>"), PATIENT),
        ((200, {}, b"[1, 2]"), PATIENT),
        ((200, {}, b'"\xff\xfe'), PATIENT),
        ((200, {}, b"[" * 200_000), PATIENT),
        ({"choices": []}, PATIENT),
        ({"choices": [{"message": {"content": None}}]}, PATIENT),
        ({"choices": "none"}, PATIENT),
        ("hang", HASTY),
        ("drip", HASTY),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_temporary_fault_is_tried_again(at, nasty, settings):
    met = set()

    def script(number, body):
        if prompt_of(body) in met:
            return parrot(number, body)
        met.add(prompt_of(body))
        return nasty

    prompts = [f"prompt {i}" for i in range(6)]
    with serving(script) as fake:
        assert at(fake, **settings).write(prompts) == prompts
    assert len(fake.requests) >= 12


@pytest.mark.parametrize(
    ("nasty", "told"),
    [
        (refused(500, "out of memory"), "HTTP 500: out of memory"),
        ("cut", "the connection broke"),
        ((200, {}, b"nonsense"), "an answer that is no JSON object \\(nonsense\\)"),
        ({"choices": []}, "an answer without text"),
    ],
)
def test_a_lasting_fault_ends_the_run_and_is_named(at, nasty, told):
    refusal = pytest.raises(ConnectionError, match=f"in 4 tries; the last time: {told}.*is kept")
    with serving(lambda number, body: nasty) as fake, refusal:
        at(fake).write([f"prompt {i}" for i in range(100)])
    assert len(fake.requests) == 4  # the hundred were not sent against a wall


def test_a_server_that_fails_midway_is_not_stormed(at):
    with serving(
        lambda number, body: parrot(number, body) if number < 10 else refused(500, "no")
    ) as fake:
        with pytest.raises(ConnectionError, match="in 4 tries"):
            at(fake, memory=False).write([f"prompt {i}" for i in range(500)])
        assert len(fake.requests) < 100


def as_date(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("form", [str, as_date])
def test_a_server_may_ask_for_patience(at, form, monkeypatch):
    slept = []
    monkeypatch.setattr(
        Endpoint, "_pause", staticmethod(lambda seconds, stop: slept.append(seconds))
    )
    script = [refused(429, "busy", Retry_After=form(30))]
    with serving(lambda number, body: script.pop() if script else parrot(number, body)) as fake:
        assert at(fake).write(["a"]) == ["a"]
        assert 25 < max(slept) <= 30
        script.append(refused(429, "busy", Retry_After=form(4000)))
        with pytest.raises(
            ConnectionError, match=r"no request for [34]\d\d\d s .*busy.*server\.longest_wait"
        ):
            at(fake).write(["b"])


def test_a_missing_server_is_reported(at):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(
        ConnectionError, match=f"No server answers at {url} .*vllm serve small-.*both listen"
    ):
        at(url).write(["a"])


@pytest.mark.parametrize(
    "answer",
    [
        refused(404, "The model `small-model` with vision does not exist."),
        (400, {}, b"{\"detail\": \"Server is pinned to 'other'; requested 'small-model'.\"}"),
        (400, {}, b'{"object": "error", "message": "Unknown model: small-model"}'),
    ],
)
def test_a_server_of_another_model_is_refused(at, answer):
    with serving(lambda number, body: answer) as fake:
        fake.models = ["other", "icl"]
        with pytest.raises(
            Refused, match=r"not serve 'small-model'.*It serves: other, icl.*server.served_model"
        ):
            at(fake).write(["a"])
    assert len(fake.requests) == 1


def test_a_wrong_url_path_is_reported(at):
    with serving(lambda number, body: (404, {}, b"Not Found")) as fake:
        fake.models = []
        with pytest.raises(Refused, match=r"mllm.url should end in /v1"):
            at(fake).write(["a"])


def test_a_request_that_is_too_long(at):
    words = "This model's maximum context length is 64 tokens; your prompt holds 80 image tokens."
    refusal = pytest.raises(Refused, match=r"too long.*--max-model-len.*mllm.max_pixels")
    with serving(lambda number, body: refused(400, words)) as fake, refusal:
        at(fake).write(["a"])


def test_any_other_refusal_keeps_the_servers_words(at):
    answer = (422, {}, b'{"detail": [{"msg": "no such field"}]}')
    refusal = pytest.raises(Refused, match=r"refuses the request .HTTP 422: .*no such field")
    with serving(lambda number, body: answer) as fake, refusal:
        at(fake).write(["a"])


def test_the_key_goes_to_the_server_and_nowhere_else(at, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with serving(parrot) as fake:
        mllm = at(fake, key_variable="MY_KEY")
        assert mllm.write(["a"]) == ["a"]
        assert fake.headers[0]["Authorization"] == "Bearer sk-secret"
        mllm.write(["b"])
        assert b"sk-secret" not in mllm.file.read_bytes() and "sk-secret" not in mllm.name
        at(fake).write(["c"])
        assert "Authorization" not in fake.headers[-1]
    with serving(lambda number, body: refused(401, "wrong key sk-secret")) as fake:
        with pytest.raises(PermissionError, match=r"wrong key ….*variable MY_KEY") as problem:
            at(fake, key_variable="MY_KEY").write(["d"])
        assert "sk-secret" not in str(problem.value)
        with pytest.raises(PermissionError, match=r"None was sent: .*server.key_variable"):
            at(fake).write(["d"])
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(PermissionError, match="MY_KEY, which is empty or not set"):
        at(fake, key_variable="MY_KEY")


def test_as_many_at_once_as_allowed_and_answers_in_order(at):
    together = threading.Barrier(4)

    def script(number, body):
        if 1 <= number <= 40:  # the first goes alone
            together.wait(60)
        time.sleep(0.001 * (number % 5))
        return parrot(number, body)

    prompts = [f"prompt {i}" for i in range(41)]
    with serving(script) as fake:
        assert at(fake, memory=False).write(prompts) == prompts
        assert fake.most == 4


def test_inside_a_running_event_loop(at):
    async def notebook():
        return at(fake).write(["a", "b", "c"])

    with serving(parrot) as fake:
        assert asyncio.run(notebook()) == ["a", "b", "c"]


def test_a_server_that_dies_loses_a_portion_at_most(at):
    prompts = [f"prompt {i:03d}" for i in range(120)]
    with serving(lambda number, body: parrot(number, body) if number < 60 else "cut") as fake:
        with pytest.raises(ConnectionError, match="What was answered before is kept"):
            at(fake).write(prompts)
        kept = len(at(fake))
    assert 32 <= kept <= 60  # portions of 4 x 8 at first
    with serving(parrot) as fake:
        mllm = at(fake)
        assert mllm.write(prompts) == prompts
        assert len(fake.requests) == mllm.misses == 120 - kept
