"""Random changes of pictures and texts: their shares, their limits, and what they leave alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.data.augment import (
    MASK_ID,
    MEAN_COLOUR,
    augment_image,
    augment_text,
    mask_words,
    reorganise,
)


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
    ids = np.zeros(12, dtype=np.int64)
    ids[0], ids[1 : words + 1], ids[words + 1] = 1000, np.arange(7, 7 + words), 1001
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


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 18), st.floats(0, 1), st.integers(0, 10**6))
def test_labels_hold_the_hidden_words(words, share, seed):
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
