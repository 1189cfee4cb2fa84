"""Pictures after the vision tower, encoded once and kept."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from PIL import Image

from icl_lib.data.pictures import Picture

KEPT_BYTES = 512 * 2**20  # of encoded pictures, from call to call


@dataclass(frozen=True)
class Seen:
    """One picture after the vision tower.

    Attributes:
        words: the placeholder tokens that stand for it in a prompt, as text.
        features: what is put in their place, [n, D].
        extra: the processor's other values for it (Qwen2-VL: image_grid_thw), one row each.
        deeper: what is added at those places in the first layers, one [n, D] a layer (Qwen3-VL's deepstack).
    """

    words: str
    features: torch.Tensor
    extra: dict[str, torch.Tensor]
    deeper: tuple[torch.Tensor, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory of what the vision tower gave."""
        return sum(part.nbytes for part in (self.features, *self.deeper))


def _place(picture: Picture) -> tuple | None:
    """A file's path, time and size: while they stay, so does its content. None for a picture in memory."""
    if not isinstance(picture, (str, os.PathLike)) or not os.path.isfile(picture):
        return None
    state = os.stat(picture)
    return str(picture), state.st_mtime_ns, state.st_size


def _size(picture: Picture) -> tuple[int, int]:
    if isinstance(picture, Image.Image):
        return picture.size
    with Image.open(picture) as opened:  # its header alone
        return opened.size
