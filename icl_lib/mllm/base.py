"""What every multimodal LLM of the kit offers: two verbs over pictures and texts."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import numpy as np

from icl_lib.data.pictures import Picture
from icl_lib.mllm.prompts import Prompts


class MLLM(ABC):
    """M of the paper: judges whether a text fits a picture, and writes.

    Attributes:
        name: identity of what answers `p_yes`: model, hash of its weights, adapter, precision.
        writer_name: identity of what answers `write`, where an adapter is never used.
        prompts: the templates T_loc, T_vqa, T_aggr, T_dec and T_rwt.
        batch_size: pairs or prompts in one forward pass.
        max_new_tokens: the longest written answer, in tokens.
        parse_report: how many written answers the tasks asked for and could not read.
    """

    name: str
    writer_name: str
    prompts: Prompts
    batch_size: int
    max_new_tokens: int

    def __init__(self, **attributes) -> None:
        vars(self).update(attributes)
        self.parse_report: Counter[str] = Counter()

    @abstractmethod
    def p_yes(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """P(Yes) of Eq. 2 for N pairs of a picture and a text -> float32 [N] in [0, 1]."""

    @abstractmethod
    def write(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> list[str]:
        """Greedy answers to N prompts, each about its own picture if there are any -> N texts."""

    def unkept(self) -> "MLLM":
        """The same MLLM, which writes no answer to disk; see `icl_lib.mllm.memory.Memory`."""
        return self

    def tokens_read(
        self, prompts: Sequence[str], images: Sequence[Picture] | None = None
    ) -> np.ndarray | None:
        """Tokens [N] of each finished prompt, those of its picture included; no model runs.

        None where the tokenizer is not at hand (a server, a simulated MLLM).
        """
        return None

    def tokens_written(self, texts: Sequence[str]) -> np.ndarray | None:
        """Tokens [N] of each written answer, its end token included; None as for `tokens_read`."""
        return None


def check_pairs(images: Sequence[Picture], texts: Sequence[str]) -> None:
    """Raises ValueError for lists of different lengths and for texts that are not strings."""
    if len(images) != len(texts):
        raise ValueError(
            f"{len(images)} pictures but {len(texts)} texts: give one picture for each text."
        )
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"Text {row} is {type(text).__name__}, not a string.")
