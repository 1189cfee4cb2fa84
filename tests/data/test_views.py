"""Pictures in memory and on disk, and the training pairs of an epoch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from icl_lib import load_params
from icl_lib.data.views import Images, PairViews
from icl_lib.retrieval.weights import load_clip


class Words:
    """A tokenizer of lower-case words by a fixed list, for tests of views alone."""

    sot_token_id, eot_token_id = 1000, 1001

    def __call__(self, texts, context_length=12):
        ids = torch.zeros(len(texts), 12, dtype=torch.long)
        for row, text in enumerate(texts):
            inner = [int(word) for word in text.split()][:10]
            ids[row, : len(inner) + 2] = torch.tensor([1000, *inner, 1001])
        return ids


@pytest.fixture
def pictures(tmp_path):
    rng, paths = np.random.default_rng(0), []
    for i in range(5):
        paths.append(tmp_path / f"{i}.jpg")
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(paths[-1])
    return paths


def test_images_in_memory_and_on_disk_are_the_same(pictures):
    kept, lazy = Images(pictures, (24, 8)), Images(pictures, (24, 8), memory=0)
    assert kept.pixels is not None and lazy.pixels is None
    both = [torch.cat(list(images.batches(2))) for images in (kept, lazy)]
    assert torch.equal(*both) and len(both[0]) == 5


def views(pictures, memory, parts=None):
    settings = SimpleNamespace(
        pad=2, erase_scale=(0.02, 0.4), text_mask=0.2, text_mask_split=(0.6, 0.2, 0.2)
    )
    images = Images(pictures, (24, 8), memory=memory)
    ids = Words()([f"{i} {i + 1} {i + 2}" for i in range(10, 20)]).numpy()
    return PairViews(images, np.arange(10) // 2, ids, Words(), settings, seed=5, parts=parts)


def test_an_epoch_does_not_depend_on_who_reads_the_pictures(pictures):
    parts = [[["30", "31"], ["40", "41 42"]] if i % 2 else None for i in range(10)]
    kept, lazy = views(pictures, 1 << 20, parts), views(pictures, 0, parts)
    for one, other in zip(kept.loader(3, 4), lazy.loader(3, 4), strict=True):
        assert set(one) == {"pair", "pixels", "ids", "rda_ids"}
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_epochs_differ_and_cover_every_pair(pictures):
    data = views(pictures, 1 << 20)
    first, second = (list(data.loader(epoch, 4)) for epoch in (0, 1))
    for batches in (first, second):
        assert sorted(torch.cat([batch["pair"] for batch in batches]).tolist()) == list(range(10))
    assert not torch.equal(first[0]["pair"], second[0]["pair"])
    assert "rda_ids" not in first[0]
    again = list(views(pictures, 1 << 20).loader(1, 4))
    assert all(torch.equal(a["pixels"], b["pixels"]) for a, b in zip(again, second, strict=True))


def test_a_last_pair_alone_is_left_out(pictures):
    assert [len(batch["pair"]) for batch in views(pictures, 1 << 20).loader(0, 3)] == [3, 3, 3]


def test_a_pair_without_parts_repeats_its_caption(pictures):
    data = views(pictures, 1 << 20, [None] * 10)
    data.settings.text_mask = 0.0
    batch = next(iter(data.loader(0, 10)))
    assert torch.equal(batch["ids"], batch["rda_ids"])


def test_sentences_read_once_are_the_text_read_whole(pictures):
    data = views(pictures, 1 << 20, [None] * 10)
    for sentences in (["1 2", "3"], ["4"] * 3, ["7 8 9"] * 6, ["", "5"]):  # 18 words do not fit
        expected = Words()([" ".join(sentences)])[0].numpy()
        for _ in range(2):
            np.testing.assert_array_equal(data._tokens(sentences), expected)
    assert data._words.keys() == {"1 2", "3", "4", "7 8 9", "", "5"}


def test_the_kits_tokenizer_reads_no_token_across_a_space():
    tokenizer = load_clip(load_params("rstp")).tokenizer
    data = PairViews(None, np.zeros(1), np.zeros((1, 77), np.int64), tokenizer, None, 0)
    sentences = [
        "A man's red-and-white T-shirt, worn open.",
        "He isn't 30;",
        "shoes: (black)",
        "\"quoted\" 'words'",
        "é ﬁn",
    ]
    np.testing.assert_array_equal(
        data._tokens(sentences), tokenizer([" ".join(sentences)])[0].numpy()
    )


def test_shares_of_an_epoch_are_the_whole_epoch(pictures):
    def half(number):
        return lambda rows: rows[: len(rows) // 2] if number == 0 else rows[len(rows) // 2 :]

    whole = list(views(pictures, 1 << 20).loader(0, 4))
    shares = [
        list(views(pictures, memory).loader(0, 4, half(number)))
        for number, memory in ((0, 1 << 20), (1, 0))
    ]
    for batch, first, second in zip(whole, *shares, strict=True):
        assert all(
            torch.equal(batch[name], torch.cat([first[name], second[name]])) for name in batch
        )
    assert [len(batch["pair"]) for batch in views(pictures, 1 << 20).loader(0, 4, least=3)] == [
        4,
        4,
    ]


def test_an_error_while_a_batch_is_prepared_ahead_is_not_lost(pictures):
    data = views(pictures, 1 << 20)
    data.image_of = data.image_of + 1  # the last picture does not exist
    with pytest.raises(IndexError):
        list(data.loader(0, 4))


def test_a_part_of_the_images_holds_its_rows(pictures):
    for memory in (1 << 20, 0):
        images = Images(pictures, (24, 8), memory=memory)
        part = images.part(slice(1, 3))
        assert len(part) == 2 and len(images) == 5
        assert torch.equal(
            torch.cat(list(part.batches(8))), torch.cat(list(images.batches(8)))[1:3]
        )
