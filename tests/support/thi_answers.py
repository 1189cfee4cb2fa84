"""What tests of THI share: rankings, traces, and an answerer that needs no model."""

import time
import zlib

import numpy as np

from icl_lib.thi import Trace


def ranked(sim):
    return np.argsort(-sim, axis=1, kind="stable")


def until_first_yes(trace):
    """The trace that is left when each query is asked no further than its first Yes."""
    p_yes = trace.p_yes.copy()
    for row, first in zip(p_yes, trace.first_yes, strict=True):
        if first >= 0:
            row[first + 1 :] = np.nan
    return Trace(trace.candidates, p_yes, trace.threshold)


class HashAnswerer:
    """INSTRUMENT, no model: P(Yes) is a hash of image and text; it records what it is asked."""

    name = "hash"

    def __init__(self, seconds=0.0, log=None):
        self.batches, self.seconds, self.log = [], seconds, log

    def p_yes(self, images, texts):
        time.sleep(self.seconds)
        pairs = list(zip(texts, images, strict=True))
        self.batches.append(pairs)
        if self.log:
            with open(self.log, "a") as file:
                file.write("x\n" * len(texts))
        return np.array([self.answer(*pair) for pair in pairs], dtype="f4")

    @staticmethod
    def answer(text, image):
        return zlib.crc32(f"{text}|{image}".encode()) % 1000 / 1000

    @property
    def asked(self):
        return [pair for batch in self.batches for pair in batch]


def world(Q=40, G=15, depth=12):
    """Q texts, their candidates [Q, depth] as gallery columns, and the paths of G images."""
    columns = ranked(np.random.default_rng(1).random((Q, G)))[:, :depth]
    return [f"text {q}" for q in range(Q)], columns, [f"pictures/{g}.jpg" for g in range(G)]
