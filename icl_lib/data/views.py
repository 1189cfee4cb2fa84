"""What a model is shown: pictures as pixels and captions as tokens, both augmented in training.

Every random choice is drawn from (seed, epoch, pair). So an epoch is the same whatever the number
of workers that prepare it, and a resumed training goes on as if it had not been interrupted.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from icl_lib.data.augment import augment_image, augment_text, draw_sentences, mask_words
from icl_lib.data.pictures import read_image

REWRITINGS_KEPT = 200_000  # sentences whose tokens are kept, about 100 MB
IN_MEMORY = 1 << 30  # bytes of pixels up to which pictures are decoded once and kept


def _workers() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(8, usable or 1)


class Images(Dataset):
    """Pictures as uint8 [3, H, W], decoded once into memory if they fit, else when asked for.

    Args:
        paths: The pictures' paths, or PIL images.
        size: (H, W).
        memory: How many bytes of pixels fit.
    """

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
        """The pictures of these rows, without reading them again."""
        part = copy(self)
        part.paths = self.paths[rows]
        part.pixels = self.pixels[rows] if self.pixels is not None else None
        return part

    def batches(self, size: int) -> Iterator[Tensor]:
        """All pictures in order, in batches of uint8 [≤ size, 3, H, W]."""
        if self.pixels is not None:
            yield from torch.from_numpy(self.pixels).split(size) if len(self) else ()
        else:
            yield from DataLoader(self, batch_size=size, num_workers=_workers())


class Ahead:
    """Batches of a data set; a thread prepares the next one while the present one is trained on."""

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
        # NumPy stacks them: torch would use threads that compete with those of the training step.
        return {
            name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]
        }


class PairViews(Dataset):
    """Training pairs: a caption with its image, both augmented anew in each epoch.

    Item i is a dict: `pair` i, `pixels` uint8 [3, H, W] and `ids` int64 [L]. With `parts` it has
    `rda_ids` [L] too, a second text for the same image. With `masked` it has `mlm_ids` [L], where
    words are hidden, and `mlm_labels` [L], the hidden words (`mask_words`).

    Args:
        images: The pictures.
        image_of: [P], the picture of each pair.
        ids: [P, L], the captions' tokens.
        tokenizer: The text encoder's tokenizer.
        settings: params.backbone.
        seed: Every random choice is drawn from it, the epoch and the pair.
        parts: [P], RDA's sub-sentences of each pair; where they are None the caption is used again.
        alone: The second text takes the place of the first.
        masked: Share of the words to hide, from 0 to 1.
    """

    def __init__(
        self,
        images: Images,
        image_of: np.ndarray,
        ids: np.ndarray,
        tokenizer,
        settings,
        seed: int,
        parts: Sequence | None = None,
        alone: bool = False,
        masked: float = 0.0,
    ):
        self.alone, self.masked = alone, masked
        self._words: dict[str, np.ndarray] = {}  # tokens of rewritings, which recur in every epoch
        self.images, self.image_of, self.ids, self.parts = images, image_of, ids, parts
        self.tokenizer, self.settings, self.seed, self.epoch = tokenizer, settings, seed, 0

    def __len__(self) -> int:
        return len(self.image_of)

    def __getitem__(self, i: int) -> dict:
        rng = np.random.default_rng((self.seed, self.epoch, i))
        pixels = self.images[self.image_of[i]]
        pixels = augment_image(pixels, rng, self.settings.pad, self.settings.erase_scale)
        shown = self.ids[i]
        item = {"pair": i, "pixels": pixels, "ids": self._vary(shown, rng)}
        if self.parts is not None:
            sentences = draw_sentences(self.parts[i], rng) if self.parts[i] else []
            drawn = self._tokens(sentences) if any(sentences) else self.ids[i]
            item["rda_ids"] = self._vary(drawn, rng)
            if self.alone:
                item["ids"], shown = item.pop("rda_ids"), drawn
        if self.masked:
            words = self.tokenizer.sot_token_id
            item["mlm_ids"], item["mlm_labels"] = mask_words(shown, rng, self.masked, words)
        return item

    def loader(
        self, epoch: int, batch_size: int, share=list, least: int = 2
    ) -> "DataLoader | Ahead":
        """The batches of one epoch, shuffled.

        Args:
            epoch: Number of the epoch, from which the order is drawn.
            batch_size: Pairs per batch.
            share: Takes the rows of a batch and gives those that this process trains on.
            least: A last batch of fewer pairs is left out; a single pair has no negative.
        """
        self.epoch = epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self)).tolist()
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        batches = [share(rows) for rows in batches if len(rows) >= least or len(batches) == 1]
        if self.images.pixels is not None:
            return Ahead(self, batches)
        return DataLoader(self, batch_sampler=batches, num_workers=_workers())

    def _tokens(self, sentences: list[str]) -> np.ndarray:
        """Tokens [L] of sentences joined by spaces; no token crosses a space."""
        out = np.zeros(self.ids.shape[1], dtype=np.int64)
        words = np.concatenate([self._words_of(sentence) for sentence in sentences])[: len(out) - 2]
        out[0], out[1 : 1 + len(words)] = self.tokenizer.sot_token_id, words
        out[1 + len(words)] = self.tokenizer.eot_token_id
        return out

    def _words_of(self, sentence: str) -> np.ndarray:
        found = self._words.get(sentence)
        if found is None:
            ids = self.tokenizer([sentence], context_length=self.ids.shape[1])[0].numpy()
            found = ids[1 : int(ids.argmax())].copy()
            if len(self._words) < REWRITINGS_KEPT:
                self._words[sentence] = found
        return found

    def _vary(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        words = self.tokenizer.sot_token_id  # every smaller id is a word
        return augment_text(ids, rng, self.settings.text_mask, self.settings.text_mask_split, words)
