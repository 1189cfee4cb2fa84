"""A tiny random Qwen2-VL, pictures, and an MLLM whose answers are written in the test."""

import numpy as np
import pytest
import tiny_qwen2vl
import torch

from icl_lib import load_params
from icl_lib.data.pictures import picture_hash
from icl_lib.mllm.base import MLLM
from icl_lib.mllm.local import LocalMLLM
from icl_lib.mllm.weights import load_model, prompts_of

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return tiny_qwen2vl.tiny_qwen2vl(tmp_path_factory.mktemp("tiny") / "qwen2vl")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return tiny_qwen2vl.pictures(tmp_path_factory.mktemp("pictures"), 8)


@pytest.fixture
def params(tiny_folder, tmp_path, monkeypatch):
    """The demo's params on the tiny model; results go to a folder of the test's own."""
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    return load_params(
        model=str(tiny_folder), prompts="full", mllm__batch_size=4, max_new_tokens=12
    )


@pytest.fixture
def make_local(params, tiny_folder):
    """make_local(batch_size=4, adapter=None) -> the tiny model as an MLLM without memory."""

    def make(batch_size=4, adapter=None, max_new_tokens=12):
        model, processor = load_model(params, tiny_folder)
        return LocalMLLM(
            model,
            processor,
            prompts_of(params),
            name="tiny",
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            adapter=adapter,
        )

    return make


class Scripted(MLLM):
    """Answers by functions of (picture, text) and (prompt, picture); keeps what it was asked."""

    name = writer_name = "scripted"
    batch_size, max_new_tokens = 4, 16

    def __init__(self, prompts, p=None, reply=None):
        super().__init__()
        self.prompts, self.asked, self.written = prompts, [], []
        self._p, self._reply = p, reply

    def p_yes(self, images, texts):
        self.asked += list(zip(images, texts, strict=True))
        return np.array(
            [self._p(image, text) for image, text in zip(images, texts, strict=True)], np.float32
        )

    def write(self, prompts, images=None):
        self.written += list(prompts)
        return [
            self._reply(prompt, image)
            for prompt, image in zip(prompts, images or [None] * len(prompts), strict=True)
        ]


@pytest.fixture
def scripted(params):
    def make(p=None, reply=None):
        p = p or (lambda image, text: int(picture_hash(image)[:4], 16) / 65536)
        return Scripted(prompts_of(params), p, reply)

    return make
