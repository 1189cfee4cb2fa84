"""A server's MLLM for tests, its settings, and two scripts of the fake server."""

import pytest
from fake_server import prompt_of, said

from icl_lib import load_params
from icl_lib.mllm import load_mllm

PATIENT = {"backend": "server", "concurrency": 4, "backoff": 0.001, "retries": 3, "timeout": 60}


HASTY = {
    **PATIENT,
    "timeout": 0.5,
    "retries": 20,
}  # many retries: a busy machine may miss half a second too


@pytest.fixture
def at(monkeypatch, tmp_path):
    """at(fake or URL, **settings) -> the server's MLLM, its memory in the test's own folder."""
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))

    def make(fake, adapter=None, memory=True, **settings):
        url = getattr(fake, "url", fake)
        mllm = load_mllm(
            load_params(url=url, served_model="small-model", **{**PATIENT, **settings}), adapter
        )
        return mllm if memory else mllm.inner

    return make


def parrot(number, body):
    """Repeats the prompt."""
    return said(prompt_of(body), body=body)


def yes(number, body):
    return said("Yes", {"Yes": -0.1, "No": -3.0}, body=body)
