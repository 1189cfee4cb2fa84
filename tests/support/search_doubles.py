"""A backbone and an MLLM that know their answers, for tests of a search."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from icl_lib.mllm.base import MLLM
from icl_lib.thi.evidence import Evidence
from icl_lib.thi.policies import Rule


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


class Backbone:
    """Gives every text the same vector."""

    def encode_texts(self, texts):
        return np.repeat(unit(np.array([[1.0, 0, 0]])), len(texts), axis=0)


class Knowing(MLLM):
    """Says Yes to one picture, and sees a bag on pictures with an odd number."""

    def __init__(self, right: str):
        names = ["bag"]
        question = SimpleNamespace(name="bag", question="What is carried?")
        prompts = SimpleNamespace(
            characteristics=[question], names=names, ask_answers=lambda: "Answer:"
        )
        super().__init__(name="knowing", writer_name="knowing", prompts=prompts)
        self.right, self.asked, self.described = right, [], []

    def p_yes(self, images, texts):
        self.asked += images
        return np.array([0.95 if image == self.right else 0.05 for image in images])

    def write(self, prompts, images=None):
        self.described += images
        return [
            "1. a backpack" if int(Path(image).stem) % 2 else "1. no backpack" for image in images
        ]


@dataclass
class Models:
    mllm: MLLM | None
    evidence: Evidence
    rule: Rule | None = None
    threshold: float = 0.5
    note: list = field(default_factory=lambda: ["The server does not answer."])
    backbone: Backbone = field(default_factory=Backbone)
