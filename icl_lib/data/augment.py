"""What training changes at random: pictures, masked words, reorganised RDA texts."""

from collections.abc import Sequence

import numpy as np

from icl_lib.data.pictures import MEAN

MEAN_COLOUR = np.array([round(255 * m) for m in MEAN], dtype=np.uint8)[:, None, None]
MASK_ID = 0  # stands for a masked token: a lone "!" inside a word, which no caption holds


def augment_image(
    pixels: np.ndarray, rng: np.random.Generator, pad: int, erase_scale: Sequence[float]
) -> np.ndarray:
    """uint8 [3, H, W], randomly flipped, shifted (black padding of `pad` pixels, then a crop) and erased; a
    copy.

    Erasing, half of the time: a rectangle of erase_scale of the area and of aspect 0.3–3.3 turns to CLIP's
    mean colour.
    """
    _, height, width = pixels.shape
    if rng.random() < 0.5:
        pixels = pixels[:, :, ::-1]
    down, right = rng.integers(-pad, pad + 1, 2)
    out = np.zeros_like(pixels, order="C")
    out[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = pixels[
        :, max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    if rng.random() < 0.5:
        for _ in range(10):  # a drawn rectangle may not fit: draw again
            area = height * width * rng.uniform(*erase_scale)
            aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
            tall, wide = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
            if 0 < tall < height and 0 < wide < width:
                top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
                out[:, top : top + tall, left : left + wide] = MEAN_COLOUR
                break
    return out


def augment_text(
    ids: np.ndarray, rng: np.random.Generator, share: float, split: Sequence[float], words: int
) -> np.ndarray:
    """Token ids [L] with `share` of the words touched; of those `split`: masked, replaced at random, dropped.

    SOT, EOT and padding stay; at least one word is kept of a text that has any. Ids 1 … words − 1 are the
    words.
    """
    end = int(ids.argmax())
    inner = ids[1:end].copy()
    # 0: masked, 1: replaced, 2: dropped, 3: left as it is
    kind = np.searchsorted(np.cumsum(split)[:2], rng.random(len(inner)), side="right")
    kind[rng.random(len(inner)) >= share] = 3
    inner[kind == 0] = MASK_ID
    inner[kind == 1] = rng.integers(1, words, (kind == 1).sum())
    kept = inner[kind != 2]
    if not len(kept):
        kept = inner[:1]
    out = np.zeros_like(ids)
    out[0], out[1 : 1 + len(kept)], out[1 + len(kept)] = ids[0], kept, ids[end]
    return out


def mask_words(
    ids: np.ndarray, rng: np.random.Generator, share: float, words: int
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids [L] with `share` of the words hidden, and labels [L]: the hidden words, −100 elsewhere.

    As BERT does, of the hidden words 80% are masked, 10% replaced at random and 10% left; at least one is
    hidden of a text that has any.
    """
    end = int(ids.argmax())
    out, labels = ids.copy(), np.full_like(ids, -100)
    hidden = 1 + np.flatnonzero(rng.random(max(0, end - 1)) < share)
    if not len(hidden) and end > 1:
        hidden = 1 + rng.integers(end - 1, size=1)
    labels[hidden] = ids[hidden]
    kind = rng.random(len(hidden))
    out[hidden[kind < 0.8]] = MASK_ID
    random = hidden[(kind >= 0.8) & (kind < 0.9)]
    out[random] = rng.integers(1, words, len(random))
    return out, labels


def reorganise(parts: Sequence[Sequence[str]], rng: np.random.Generator) -> str:
    """A text drawn from RDA's sub-sentences: random order, one random rewriting of each, joined by a space."""
    return " ".join(_drawn(parts, rng))


def _drawn(parts: Sequence[Sequence[str]], rng: np.random.Generator) -> list[str]:
    filled = [rewritings for rewritings in parts if rewritings]
    return [filled[i][rng.integers(len(filled[i]))].strip() for i in rng.permutation(len(filled))]
