"""The server backend against a real `transformers serve`."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
import warnings

import numpy as np
import pytest
from server_fixtures import PATIENT

from icl_lib import load_params, stages
from icl_lib.mllm import load_mllm
from icl_lib.mllm.server import ServerMLLM

SERVING = [
    name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None
]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Address of `transformers serve`, which loads any folder that it is asked for."""
    if SERVING:
        pytest.skip(
            f"transformers serve needs {', '.join(SERVING)}: pip install 'transformers[serving]'"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("serve")
    command = "from transformers.cli.transformers import main; main()"
    options = [
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
        "--dtype",
        "float32",
    ]
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with open(home / "log", "w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", command, *options],
            stdout=log,
            stderr=log,
            env={**os.environ, **quiet},
        )
        try:
            deadline = time.monotonic() + 600  # a loaded machine imports slowly
            while not _healthy(port):
                told = (home / "log").read_text()[-3000:]
                assert process.poll() is None and time.monotonic() < deadline, told
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(30)


def _healthy(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A picture and a caption of each of eight drawn people."""
    from icl_lib.data import read_benchmark
    from icl_lib.data.manifest import captions
    from icl_lib.data.standin import make_standin

    root = tmp_path_factory.mktemp("people") / "RSTPReid"
    make_standin("rstp", root, {"train": 1, "val": 1, "test": 8}, images_per_id=2, workers=1)
    table = captions(read_benchmark("rstp", root), "test").iloc[::4]
    return table["path"].tolist(), table["caption"].tolist()


def both(monkeypatch, tmp_path, url):
    """The small model in this process and behind the server."""
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    server = {"url": url, "backend": "server", "concurrency": 2}
    return (load_mllm(load_params(**settings)).inner for settings in ({}, server))


def test_transformers_serve_writes_what_the_local_model_writes(real, people, monkeypatch, tmp_path):
    local, server = both(monkeypatch, tmp_path, real)
    assert isinstance(server, ServerMLLM)
    paths, captions = people
    asked = [local.prompts.ask_answers()] * 3
    assert server.write(asked, paths[:3]) == local.write(asked, paths[:3])
    texts = [local.prompts.ask_parts(captions[0]), local.prompts.ask_rewritten(captions[1], 3)]
    texts += ["Merge: A man. <|im_end|> Seen: a hat"]
    assert server.write(texts) == local.write(texts)


def test_transformers_serve_says_yes_where_the_local_model_does(
    real, people, monkeypatch, tmp_path
):
    local, server = both(monkeypatch, tmp_path, real)
    paths, captions = people
    images, texts = paths * 2, [*captions, *captions[::-1]]
    sure = local.p_yes(images, texts)
    with pytest.warns(UserWarning, match="gives no log-probabilities"):
        words = server.p_yes(images, texts)
    clear = np.abs(sure - 0.5) > 0.01  # closer than that, rounding may decide
    assert clear.sum() > 8 and 0 < words.sum() < len(words)
    np.testing.assert_array_equal(words[clear] > 0.5, sure[clear] > 0.5)
    assert server.parse_report["Yes/No unread"] == 0


def test_transformers_serve_is_asked_for_a_model_it_has_not(real, monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    few = {**PATIENT, "retries": 1}
    with pytest.raises(ConnectionError, match="HTTP 500"):  # all that it has to say, being offline
        load_mllm(load_params(url=real, served_model="nobody/no-model", **few)).write(["a"])


def test_thi_from_end_to_end_by_a_served_adapter(real, monkeypatch, tmp_path):
    from icl_lib.mllm.adapter import save_merged

    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ICL_DATA", str(tmp_path / "data"))
    tiny = {"ids_train": 4, "ids_val": 1, "ids_test": 2, "images_per_id": 2, "backbone__epochs": 1}
    tiny |= {"warmup_epochs": 0, "backbone__rda": False, "sft__epochs": 1, "pairs": 8}
    tiny |= {"k_max": 2, "K": 2, "max_new_tokens": 40}
    local = load_params(**tiny)
    merged = save_merged(local, stages.adapter(local), tmp_path / "merged")
    server = load_params(
        **tiny, backend="server", url=real, served_adapter=str(merged), concurrency=2
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no log-probabilities, told above
        point, run, values = stages.final(server)
    assert len(values["rank1"]) == len(run.queries) and point["K"] == 2
    said = np.unique(run.trace.p_yes[~np.isnan(run.trace.p_yes)])
    assert len(said) <= 3, "Yes, No and neither, as calibrated"
    assert {path.name for path in stages.adapter(server).iterdir()} == {
        "threshold.json",
        "provenance.json",
    }
    again = load_params(
        **tiny, backend="server", url="http://127.0.0.1:1/v1", served_adapter=str(merged)
    )
    assert np.array_equal(stages.final(again)[2]["rank1"], values["rank1"])  # no server is there
