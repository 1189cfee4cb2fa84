"""What a model is shown: pictures as pixels, captions as tokens, and how both vary in training.

Every random choice is drawn from (seed, epoch, pair), so an epoch is the same however many workers prepare
it, and a training that was killed goes on as if it had not been.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP's, of RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)
MEAN_COLOUR = np.array([round(255 * m) for m in MEAN], dtype=np.uint8)[:, None, None]
MASK_ID = 0  # stands for a masked token: a lone "!" inside a word, which no caption holds
REWRITINGS_KEPT = 200_000  # whose tokens are kept, some 100 MB at most
IN_MEMORY = 1 << 30  # bytes of pixels up to which a set of pictures is decoded once and kept


def read_image(source, size: tuple[int, int]) -> np.ndarray:
    """The picture at a path (or a PIL image) as uint8 RGB [3, H, W], bicubically resized to `size` (height,
    width).

    Raises ValueError naming the file if it cannot be read as a picture.
    """
    try:
        image = source if isinstance(source, Image.Image) else Image.open(source)
        image = _eight_bits(image).convert("RGB").resize((size[1], size[0]), Image.Resampling.BICUBIC)
    except FileNotFoundError:
        raise FileNotFoundError(f"no picture at {source}: is the data set's root right?") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        told = f"{source} cannot be read as a picture ({error}); replace the file or drop its record"
        raise ValueError(told) from None
    return np.asarray(image).transpose(2, 0, 1)


def normalise(pixels: Tensor) -> Tensor:
    """uint8 RGB [B, 3, H, W] to the float32 that CLIP expects: (x/255 − mean) / std a channel."""
    mean = torch.tensor(MEAN, device=pixels.device)[:, None, None] * 255
    std = torch.tensor(STD, device=pixels.device)[:, None, None] * 255
    # In place: on a CPU fresh memory costs more than the arithmetic.
    return pixels.to(torch.float32, copy=True).sub_(mean).div_(std)


class Images(Dataset):
    """The pictures at `paths` (or PIL images) as uint8 [3, H, W]; decoded once into memory if they fit, else
    on demand."""

    def __init__(self, paths: Sequence, size: tuple[int, int], memory: int = IN_MEMORY):
        self.paths, self.size = list(paths), tuple(size)
        self.pixels: np.ndarray | None = None
        if len(self.paths) * 3 * size[0] * size[1] <= memory:
            self.pixels = np.empty((len(self.paths), 3, *self.size), dtype=np.uint8)
            for i, path in enumerate(self.paths):
                self.pixels[i] = read_image(path, self.size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.pixels[i] if self.pixels is not None else read_image(self.paths[i], self.size)

    def part(self, rows: slice) -> "Images":
        """Some of these pictures, in order; nothing is read again."""
        part = copy(self)
        part.paths = self.paths[rows]
        part.pixels = self.pixels[rows] if self.pixels is not None else None
        return part

    def batches(self, size: int) -> Iterator[Tensor]:
        """All pictures in order, uint8 [≤ size, 3, H, W] at a time."""
        if self.pixels is not None:
            yield from torch.from_numpy(self.pixels).split(size) if len(self) else ()
        else:
            yield from DataLoader(self, batch_size=size, num_workers=_workers())


def augment_image(pixels: np.ndarray, rng: np.random.Generator, pad: int,
                  erase_scale: Sequence[float]) -> np.ndarray:
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
    out[:, max(down, 0):height + min(down, 0), max(right, 0):width + min(right, 0)] = \
        pixels[:, max(-down, 0):height + min(-down, 0), max(-right, 0):width + min(-right, 0)]
    if rng.random() < 0.5:
        for _ in range(10):  # a drawn rectangle may not fit: draw again
            area = height * width * rng.uniform(*erase_scale)
            aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
            tall, wide = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
            if 0 < tall < height and 0 < wide < width:
                top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
                out[:, top:top + tall, left:left + wide] = MEAN_COLOUR
                break
    return out


def augment_text(ids: np.ndarray, rng: np.random.Generator, share: float, split: Sequence[float],
                 words: int) -> np.ndarray:
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
    out[0], out[1:1 + len(kept)], out[1 + len(kept)] = ids[0], kept, ids[end]
    return out


def mask_words(ids: np.ndarray, rng: np.random.Generator, share: float,
               words: int) -> tuple[np.ndarray, np.ndarray]:
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


class PairViews(Dataset):
    """Training pairs: one caption with its image, augmented afresh each epoch.

    Item i is a dict: `pair` i, `pixels` uint8 [3, H, W], `ids` int64 [L], and with `parts` also `rda_ids`
    [L], a second text for the same image. `images` holds pictures, `image_of[i]` the one of pair i, `ids` [P,
    L] the captions' tokens, `parts[i]` the sub-sentences of pair i (None: its caption is used again); with
    `alone` that second text stands in place of the first. With `masked`, that share of the text's words is
    hidden in `mlm_ids` and told in `mlm_labels`, both [L]. `settings` is params.backbone.
    """

    def __init__(self, images: Images, image_of: np.ndarray, ids: np.ndarray, tokenizer, settings, seed: int,
                 parts: Sequence | None = None, alone: bool = False, masked: float = 0.0):
        self.alone, self.masked = alone, masked
        self._words: dict[str, np.ndarray] = {}  # of rewritings, which come back epoch after epoch
        self.images, self.image_of, self.ids, self.parts = images, image_of, ids, parts
        self.tokenizer, self.settings, self.seed, self.epoch = tokenizer, settings, seed, 0

    def __len__(self) -> int:
        return len(self.image_of)

    def __getitem__(self, i: int) -> dict:
        rng = np.random.default_rng((self.seed, self.epoch, i))
        pixels = self.images[self.image_of[i]]
        pixels = augment_image(pixels, rng, self.settings.pad, self.settings.erase_scale)
        item, shown = {"pair": i, "pixels": pixels, "ids": self._vary(self.ids[i], rng)}, self.ids[i]
        if self.parts is not None:
            sentences = _drawn(self.parts[i], rng) if self.parts[i] else []
            drawn = self._tokens(sentences) if any(sentences) else self.ids[i]
            item["rda_ids"] = self._vary(drawn, rng)
            if self.alone:
                item["ids"], shown = item.pop("rda_ids"), drawn
        if self.masked:
            words = self.tokenizer.sot_token_id
            item["mlm_ids"], item["mlm_labels"] = mask_words(shown, rng, self.masked, words)
        return item

    def loader(self, epoch: int, batch_size: int, share=list, least: int = 2) -> "DataLoader | Ahead":
        """Batches of one epoch in a shuffled order, of each the `share` that this process trains on.

        A last batch of fewer than `least` pairs is left out: one pair alone has no negative.
        """
        self.epoch = epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self)).tolist()
        batches = [order[i:i + batch_size] for i in range(0, len(order), batch_size)]
        batches = [share(rows) for rows in batches if len(rows) >= least or len(batches) == 1]
        if self.images.pixels is not None:
            return Ahead(self, batches)
        return DataLoader(self, batch_sampler=batches, num_workers=_workers())

    def _tokens(self, sentences: list[str]) -> np.ndarray:
        """Tokens [L] of sentences joined by spaces. No token reaches across a space, so each is read once."""
        out = np.zeros(self.ids.shape[1], dtype=np.int64)
        words = np.concatenate([self._words_of(sentence) for sentence in sentences])[:len(out) - 2]
        out[0], out[1:1 + len(words)] = self.tokenizer.sot_token_id, words
        out[1 + len(words)] = self.tokenizer.eot_token_id
        return out

    def _words_of(self, sentence: str) -> np.ndarray:
        found = self._words.get(sentence)
        if found is None:
            ids = self.tokenizer([sentence], context_length=self.ids.shape[1])[0].numpy()
            found = ids[1:int(ids.argmax())].copy()
            if len(self._words) < REWRITINGS_KEPT:
                self._words[sentence] = found
        return found

    def _vary(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        words = self.tokenizer.sot_token_id  # every id below is a word's
        return augment_text(ids, rng, self.settings.text_mask, self.settings.text_mask_split, words)


class Ahead:
    """Batches of a data set, the next one prepared by a thread while this one is trained on."""

    def __init__(self, data: Dataset, batches: list[list[int]]):
        self.data, self.batches = data, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict]:
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(self._batch, self.batches[0]) if self.batches else None
            for rows in self.batches[1:]:
                ready, coming = coming, thread.submit(self._batch, rows)
                yield ready.result()
            if coming is not None:
                yield coming.result()

    def _batch(self, rows: list[int]) -> dict:
        items = [self.data[i] for i in rows]
        # Stacked by NumPy: torch would wake threads of its own for it, beside those of the training step.
        return {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16 bits and more: convert("RGB") would clip them to white
        values = np.asarray(image, dtype=np.float64)
        top = 65535 if image.mode.startswith("I") else max(values.max(), 1e-12)
        return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
    return image


def _workers() -> int:
    import os

    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
