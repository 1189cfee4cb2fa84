from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from icl_lib.data.augment import (
    MASK_ID,
    MEAN_COLOUR,
    augment_image,
    augment_text,
    mask_words,
    reorganise,
)
from icl_lib.data.pictures import MEAN, STD, normalise, read_image
from icl_lib.data.views import Images, PairViews


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


def test_read_image_resizes_as_pil_does(pictures):
    found = read_image(pictures[0], (24, 8))
    with Image.open(pictures[0]) as image:
        expected = np.asarray(image.convert("RGB").resize((8, 24), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16", "F"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    ramp = np.tile(np.linspace(0, 1, 16), (32, 1))
    if mode == "I;16":
        image = Image.fromarray((ramp * 65535).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray((ramp * 7).astype(np.float32))
    else:
        image = Image.fromarray((ramp * 255).astype(np.uint8)).convert(mode)
    found = read_image(image, (32, 16))
    assert found.shape == (3, 32, 16) and found.dtype == np.uint8
    assert found[:, :, 0].mean() < 60 and found[:, :, -1].mean() > 195


def test_one_pixel_is_a_picture():
    found = read_image(Image.new("RGB", (1, 1), (9, 8, 7)), (4, 2))
    assert (found == np.array([9, 8, 7])[:, None, None]).all()


def test_bad_files_are_named(tmp_path, pictures):
    with pytest.raises(FileNotFoundError, match="none.jpg"):
        read_image(tmp_path / "none.jpg", (4, 2))
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match="text.jpg"):
        read_image(tmp_path / "text.jpg", (4, 2))
    (tmp_path / "cut.jpg").write_bytes(pictures[0].read_bytes()[:300])
    with pytest.raises(ValueError, match="cut.jpg"):
        read_image(tmp_path / "cut.jpg", (4, 2))


def test_normalise_is_clips():
    pixels = torch.randint(0, 256, (2, 3, 4, 2), dtype=torch.uint8)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    assert torch.allclose(normalise(pixels), (pixels / 255 - mean) / std, atol=1e-5)


def test_images_in_memory_and_on_disk_are_the_same(pictures):
    kept, lazy = Images(pictures, (24, 8)), Images(pictures, (24, 8), memory=0)
    assert kept.pixels is not None and lazy.pixels is None
    both = [torch.cat(list(images.batches(2))) for images in (kept, lazy)]
    assert torch.equal(*both) and len(both[0]) == 5


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6))
def test_image_augmentation_flips_shifts_and_erases(seed, pad):
    # Neither black nor mean colour.
    pixels = np.random.default_rng(0).integers(1, 100, (3, 24, 8), dtype=np.uint8)
    out = augment_image(pixels, np.random.default_rng(seed), pad, (0.02, 0.4))
    assert out.shape == pixels.shape and out.dtype == np.uint8
    erased = (out == MEAN_COLOUR).all(0)
    assert erased.mean() < 0.55
    if erased.any():
        rows, columns = np.flatnonzero(erased.any(1)), np.flatnonzero(erased.any(0))
        assert erased[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    fits = []
    for source in (pixels, pixels[:, :, ::-1]):
        for down in range(-pad, pad + 1):
            for right in range(-pad, pad + 1):
                padded = np.pad(source, ((0, 0), (pad, pad), (pad, pad)))
                shifted = padded[:, pad - down : pad - down + 24, pad - right : pad - right + 8]
                fits.append(((shifted == out).all(0) | erased).all())
    assert any(fits)


def test_image_augmentation_varies_and_leaves_its_input_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 8), dtype=np.uint8)
    before = pixels.copy()
    seeds = map(np.random.default_rng, range(40))
    outs = {augment_image(pixels, rng, 3, (0.02, 0.4)).tobytes() for rng in seeds}
    assert len(outs) > 35
    np.testing.assert_array_equal(pixels, before)


def test_text_augmentation_has_its_shares():
    rng = np.random.default_rng(0)
    ids = np.zeros(77, dtype=np.int64)
    ids[0], ids[1:71], ids[71] = 1000, np.arange(100, 170), 1001
    masked = replaced = dropped = 0
    for _ in range(400):
        out = augment_text(ids, rng, 0.2, (0.6, 0.2, 0.2), 1000)
        end = int(out.argmax())
        inner = out[1:end]
        assert out[0] == 1000 and out[end] == 1001 and (out[end + 1 :] == 0).all()
        dropped += 70 - len(inner)
        masked += (inner == MASK_ID).sum()
        kept = np.isin(inner, ids[1:71]).sum()
        replaced += len(inner) - kept - (inner == MASK_ID).sum()
    total = 400 * 70
    assert masked / total == pytest.approx(0.12, abs=0.01)
    assert dropped / total == pytest.approx(0.04, abs=0.01)
    assert replaced / total == pytest.approx(
        0.04 * 0.93, abs=0.01
    )  # 7% of random words hit the text's own


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10), st.floats(0, 1), st.integers(0, 10**6))
def test_text_augmentation_keeps_a_text(words, share, seed):
    ids = Words()([" ".join(str(7 + i) for i in range(words))])[0].numpy()
    out = augment_text(ids, np.random.default_rng(seed), share, (0.0, 0.0, 1.0), 1000)
    end = int(out.argmax())
    assert out[end] == 1001 and end >= min(words, 1) + 1 and len(out) == 12
    assert list(out[1:end]) == sorted(set(out[1:end]) & set(ids[1 : words + 1]))
    if share == 0:
        np.testing.assert_array_equal(out, ids)


def test_reorganised_texts_take_one_rewriting_of_each_part():
    parts = [["1", "2"], ["3"], [], ["4", "5", "6"]]
    drawn = {reorganise(parts, np.random.default_rng(seed)) for seed in range(300)}
    assert len(drawn) == 2 * 3 * 6  # rewritings times orders
    for text in drawn:
        words = set(text.split())
        assert len(words) == 3 and all(words & set(part) for part in parts if part)
    assert reorganise([], np.random.default_rng(0)) == ""


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
    assert all(torch.equal(a["pixels"], b["pixels"]) for a, b in zip(again, second))


def test_a_last_pair_alone_is_left_out(pictures):
    assert [len(batch["pair"]) for batch in views(pictures, 1 << 20).loader(0, 3)] == [3, 3, 3]


def test_a_pair_without_parts_repeats_its_caption(pictures):
    data = views(pictures, 1 << 20, [None] * 10)
    data.settings.text_mask = 0.0
    batch = next(iter(data.loader(0, 10)))
    assert torch.equal(batch["ids"], batch["rda_ids"])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 18), st.floats(0, 1), st.integers(0, 10**6))
def test_hidden_words_are_told_in_the_labels(words, share, seed):
    ids = np.zeros(20, dtype=np.int64)
    ids[0], ids[1 : 1 + words], ids[1 + words] = 98, np.arange(1, 1 + words), 99
    out, labels = mask_words(ids, np.random.default_rng(seed), share, 98)
    told = labels >= 0
    assert (labels[told] == ids[told]).all() and (out[~told] == ids[~told]).all()
    assert not told[0] and not told[1 + words :].any()
    assert told.sum() >= min(words, 1) and (share < 1 or told.sum() == words)
    again, _ = mask_words(ids, np.random.default_rng(seed), share, 98)
    np.testing.assert_array_equal(out, again)


def test_hidden_words_are_mostly_masked_as_bert_does():
    ids, rng, shares = np.r_[9998, np.full(998, 5), 9999], np.random.default_rng(0), []
    for _ in range(40):
        out, labels = mask_words(ids, rng, 0.15, 9998)
        told = labels >= 0
        shares.append([told.sum() / 998, (out[told] == MASK_ID).mean(), (out[told] == 5).mean()])
    np.testing.assert_allclose(np.mean(shares, axis=0), [0.15, 0.8, 0.1], atol=0.01)


def test_sentences_read_once_are_the_text_read_whole(pictures):
    data = views(pictures, 1 << 20, [None] * 10)
    for sentences in (["1 2", "3"], ["4"] * 3, ["7 8 9"] * 6, ["", "5"]):  # 18 words do not fit
        expected = Words()([" ".join(sentences)])[0].numpy()
        for _ in range(2):
            np.testing.assert_array_equal(data._tokens(sentences), expected)
    assert data._words.keys() == {"1 2", "3", "4", "7 8 9", "", "5"}


def test_the_kits_tokenizer_reads_no_token_across_a_space():
    from icl_lib import load_params
    from icl_lib.retrieval.weights import load_clip

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


def test_part_of_the_pictures(pictures):
    for memory in (1 << 20, 0):
        images = Images(pictures, (24, 8), memory=memory)
        part = images.part(slice(1, 3))
        assert len(part) == 2 and len(images) == 5
        assert torch.equal(
            torch.cat(list(part.batches(8))), torch.cat(list(images.batches(8)))[1:3]
        )
