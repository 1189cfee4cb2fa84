"""What every multimodal LLM of the kit offers: two verbs over pictures and texts."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from icl_lib.mllm.prompts import Prompts

Picture = str | Path | Image.Image


class MLLM(ABC):
    """M of the paper: judges whether a text fits a picture, and writes.

    Attributes:
        name: identity of what answers `p_yes` (model, hash of its weights, adapter, precision).
        writer_name: identity of what answers `write`; the same unless `write` leaves an adapter out.
        prompts: the templates T_loc, T_vqa, T_aggr, T_dec, T_rwt it is asked with.
        batch_size: pairs or prompts a forward pass.
        max_new_tokens: length cap of a written answer.
        parse_report: counts of what the tasks could and could not read out of written answers.
    """

    name: str
    writer_name: str
    prompts: Prompts
    batch_size: int
    max_new_tokens: int

    def __init__(self) -> None:
        self.parse_report: Counter[str] = Counter()

    @abstractmethod
    def p_yes(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """P(Yes) of Eq. 2 for N pairs of a picture and a text -> float32 [N] in [0, 1]."""

    @abstractmethod
    def write(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> list[str]:
        """Greedy answers to N prompts, each about its own picture when pictures are given -> N texts."""

    def tokens_read(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> np.ndarray | None:
        """Tokens [N] that each finished prompt is read as, its picture's included, by M's own tokenizer.

        Nothing is asked. None where M shows no tokenizer (a server, a simulated answerer).
        """
        return None

    def tokens_written(self, texts: Sequence[str]) -> np.ndarray | None:
        """Tokens [N] of each written answer, its end token included; None as for `tokens_read`."""
        return None


def open_picture(picture: Picture) -> Image.Image:
    """The picture as RGB, decoded whole; a path that cannot be read is named in the error.

    16-bit grey is scaled to 8 bits, transparency is laid on white.
    """
    if isinstance(picture, Image.Image):
        return _as_rgb(picture)
    if not Path(picture).is_file():
        raise FileNotFoundError(
            f"There is no picture {picture}. Check the data set's folder (`icl data check`)."
        )
    try:
        with Image.open(picture) as opened:
            opened.load()
            return _as_rgb(opened)
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as problem:
        raise ValueError(
            f"The picture {picture} cannot be read ({problem}). It is damaged, cut off or no picture: "
            "replace the file, or leave its record out (`icl data check` lists such files)."
        ) from problem


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return picture.convert("RGB")


def picture_id(picture: Picture) -> str:
    """Names a picture within one call without reading it: its path, or the object itself."""
    return f"object {id(picture)}" if isinstance(picture, Image.Image) else str(picture)


def picture_hash(picture: Picture) -> str:
    """16 bytes in hex of the picture's content: the file's bytes, or mode, size and pixels of an object."""
    if isinstance(picture, Image.Image):
        content = f"{picture.mode} {picture.size}".encode() + picture.tobytes()
    else:
        try:
            content = Path(picture).read_bytes()
        except OSError as problem:
            raise FileNotFoundError(
                f"The picture {picture} cannot be opened ({problem.strerror or problem}). Check the data "
                "set's folder (`icl data check`)."
            ) from problem
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def check_pairs(images: Sequence[Picture], texts: Sequence[str]) -> None:
    """Refuses lists of different lengths and texts that are no strings."""
    if len(images) != len(texts):
        raise ValueError(f"{len(images)} pictures but {len(texts)} texts: give one picture for each text.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"Text {row} is {type(text).__name__}, not a string.")
