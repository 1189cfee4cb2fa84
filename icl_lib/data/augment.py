"""Random changes in training: of pictures, of words, and of the order of RDA's sentences."""

from collections.abc import Sequence

import numpy as np

from icl_lib.data.pictures import MEAN

MEAN_COLOUR = np.array([round(255 * m) for m in MEAN], dtype=np.uint8)[:, None, None]
MASK_ID = 0  # the mask token: "!" inside a word, which no caption has


def augment_image(
    pixels: np.ndarray, rng: np.random.Generator, pad: int, erase_scale: Sequence[float]
) -> np.ndarray:
    """A copy of a picture, uint8 [3, H, W], randomly flipped, shifted and erased.

    Args:
        pixels: The picture.
        rng: Source of randomness.
        pad: Pixels of black padding, before a crop to the old size.
        erase_scale: Smallest and largest share of the area to erase. Half of the pictures get a
            rectangle of aspect ratio 0.3 to 3.3 filled with CLIP's mean colour.
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
        for _ in range(10):  # a rectangle that does not fit is drawn again
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
    """Token ids [L] with a random share of the words masked, replaced or dropped.

    SOT, EOT and padding stay; at least one word is kept of a text that has any.

    Args:
        ids: Token ids [L].
        rng: Source of randomness.
        share: Share of the words that are changed, from 0 to 1.
        split: Shares of these that are masked, replaced by a random word, and dropped.
        words: Ids 1 … words − 1 are words.
    """
    end = int(ids.argmax())
    inner = ids[1:end].copy()
    # 0: masked, 1: replaced, 2: dropped, 3: left as it is
    kind = np.searchsorted(np.cumsum(split)[:2], rng.random(len(inner)), side="right")
    kind[rng.random(len(inner)) >= share] = 3
    inner[kind == 0] = MASK_ID
    inner[kind == 1] = rng.integers(1, words, (kind == 1).sum())
    kept = inner[kind != 2] if (kind != 2).any() else inner[:1]
    out = np.zeros_like(ids)
    out[0], out[1 : 1 + len(kept)], out[1 + len(kept)] = ids[0], kept, ids[end]
    return out


def mask_words(
    ids: np.ndarray, rng: np.random.Generator, share: float, words: int
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids [L] with a random share of the words hidden, as BERT does, and the labels.

    Of the hidden words 80% are masked, 10% replaced by a random word and 10% left as they are. At
    least one is hidden in a text that has any.

    Args:
        ids: Token ids [L].
        rng: Source of randomness.
        share: Share of the words that are hidden, from 0 to 1.
        words: Ids 1 … words − 1 are words.

    Returns:
        The ids, and labels [L]: the id of each hidden word, and −100 elsewhere.
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
    """A text of RDA's sub-sentences, joined by spaces (see `draw_sentences`)."""
    return " ".join(draw_sentences(parts, rng))


def draw_sentences(parts: Sequence[Sequence[str]], rng: np.random.Generator) -> list[str]:
    """One random rewriting of each of RDA's sub-sentences, in random order.

    Args:
        parts: The rewritings of each sub-sentence; a sub-sentence without any is left out.
        rng: Source of randomness.
    """
    filled = [rewritings for rewritings in parts if rewritings]
    return [filled[i][rng.integers(len(filled[i]))].strip() for i in rng.permutation(len(filled))]
