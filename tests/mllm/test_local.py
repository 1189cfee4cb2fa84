"""A local MLLM: P(Yes) and writing do not depend on the batch or the way of asking."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import plain_p_yes

from icl_lib import load_params
from icl_lib.mllm import load_mllm, open_picture
from icl_lib.mllm.memory import Memory

TEXTS = [
    "A woman.",
    "The man in a grey shirt and black trousers carries a brown bag on his back.",
    "red",
    "A man in a red coat, blue jeans and white shoes.",
]


def pairs_of(pictures, n=13):
    rng = np.random.default_rng(0)
    return [pictures[i] for i in rng.integers(0, len(pictures), n)], [
        TEXTS[i % 4] for i in rng.integers(0, 99, n)
    ]


def test_p_yes_is_the_plain_model_s_softmax_over_both_spellings(make_local, pictures, tiny_folder):
    mllm = make_local()
    images, texts = pairs_of(pictures, 6)
    expected = plain_p_yes(tiny_folder, mllm.prompts, images, texts)
    got = mllm.p_yes(images, texts)
    assert got.dtype == np.float32 and np.ptp(got) > 0.01
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_p_yes_is_equal_whatever_the_batch(make_local, pictures, batch_size):
    images, texts = pairs_of(pictures)
    np.testing.assert_allclose(
        make_local(batch_size).p_yes(images, texts), make_local(4).p_yes(images, texts), atol=1e-5
    )


def test_every_way_of_asking_agrees(make_local, pictures):
    """Common beginning read once, encoded pictures without it, and the processor alone."""
    mllm = make_local()
    images, texts = pictures[:2] * 8, [f"{TEXTS[i % 4]} {i}" for i in range(16)]
    shared = mllm.p_yes(images, texts)
    alone = np.concatenate(
        [mllm.p_yes([image], [text]) for image, text in zip(images, texts, strict=True)]
    )
    mllm.reader.caches_pictures = False
    np.testing.assert_allclose(shared, alone, atol=1e-5)
    np.testing.assert_allclose(mllm.p_yes(images, texts), shared, atol=1e-5)


def test_pictures_of_different_shapes_go_together(make_local, pictures, tmp_path):
    odd = []
    for number, size in enumerate([(200, 60), (30, 300), (64, 64)]):
        Image.open(pictures[number]).resize(size).save(tmp_path / f"{number}.png")
        odd.append(str(tmp_path / f"{number}.png"))
    images, texts = (odd + pictures[:2]) * 3, [TEXTS[i % 4] for i in range(15)]
    alone = np.concatenate(
        [
            make_local().p_yes([image], [text])
            for image, text in zip(images[:5], texts[:5], strict=True)
        ]
    )
    np.testing.assert_allclose(make_local().p_yes(images, texts)[:5], alone, atol=1e-5)


def test_the_vision_tower_sees_each_picture_once(make_local, pictures, monkeypatch):
    mllm, encoded = make_local(), []
    inner = mllm.reader.processor._process_images
    monkeypatch.setattr(
        mllm.reader.processor,
        "_process_images",
        lambda images, **kw: encoded.append(len(images)) or inner(images, **kw),
    )
    mllm.p_yes(pictures[:5] * 4, [str(i) for i in range(20)])
    mllm.p_yes(pictures[:5], ["again"] * 5)
    assert sum(encoded) == 5


def test_pil_pictures_are_taken_too(make_local, pictures):
    opened = [Image.open(path) for path in pictures[:3]]
    np.testing.assert_allclose(
        make_local().p_yes(opened, TEXTS[:3]),
        make_local().p_yes(pictures[:3], TEXTS[:3]),
        atol=1e-6,
    )


def test_write_is_equal_whatever_the_batch_and_the_way(make_local, pictures):
    one, many = make_local(1), make_local(64)
    prompts = [f"{text} {i}" for i, text in enumerate(TEXTS)]
    assert one.write(prompts) == many.write(prompts)
    written = many.write(prompts, pictures[:4])
    assert written == one.write(prompts, pictures[:4]) and len(set(written)) > 1
    many._writer.caches_pictures = False
    assert many.write(prompts, pictures[:4]) == written


def test_write_is_greedy_and_stops_at_the_cap(make_local, tiny_folder):
    mllm = make_local(max_new_tokens=5)
    chat = mllm._writer
    ids = chat.batch(chat.tokens([chat.render("A woman.", picture=False)]))["input_ids"]
    with torch.no_grad():
        for _ in range(5):
            ids = torch.cat([ids, mllm.model(input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
    new = ids[0, -5:]
    end = (new == chat.tokenizer.eos_token_id).nonzero()
    new = new[: end[0, 0]] if len(end) else new
    assert mllm.write(["A woman."]) == [
        chat.tokenizer.decode(new, skip_special_tokens=True).strip()
    ]


def test_no_question_gives_no_answer(make_local):
    mllm = make_local()
    assert mllm.p_yes([], []).shape == (0,) and mllm.write([]) == [] and mllm.write([], []) == []


def test_bad_input_is_named(make_local, pictures, tmp_path):
    broken, cut, thin = tmp_path / "broken.png", tmp_path / "cut.png", tmp_path / "thin.png"
    broken.write_bytes(b"not a picture")
    cut.write_bytes(Path(pictures[0]).read_bytes()[:2000])
    Image.new("RGB", (3000, 2)).save(thin)
    mllm = make_local()
    for path in (broken, cut, thin):
        with pytest.raises(ValueError, match=path.name):
            mllm.p_yes([pictures[0], str(path)], ["a", "b"])
    with pytest.raises(FileNotFoundError, match=r"gone.png"):
        mllm.p_yes([str(tmp_path / "gone.png")], ["a"])
    with pytest.raises(ValueError, match="2 pictures but 1 texts"):
        mllm.p_yes(pictures[:2], ["a"])
    with pytest.raises(ValueError, match="Text 0 is NoneType"):
        mllm.p_yes(pictures[:1], [None])


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1", "I;16"])
def test_pictures_of_any_mode_become_rgb(mode, tmp_path):
    if mode == "I;16":
        picture = Image.fromarray(np.full((6, 4), 40000, np.uint16))
    else:
        picture = Image.new("RGB", (4, 6), (156, 156, 156)).convert(mode)
    picture.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    opened = open_picture(next(tmp_path.iterdir()))
    assert opened.mode == "RGB" and opened.size == (4, 6)
    if mode != "1":
        assert abs(int(np.asarray(opened).mean()) - 156) < 8


def test_names_follow_weights_and_precision(params, tiny_folder, tmp_path, monkeypatch):
    other = load_params(model=str(tiny_folder), prompts="full", mllm__dtype="bfloat16")
    assert load_mllm(params).name != load_mllm(other).name
    assert load_mllm(params).name == load_mllm(params).name


def test_an_mllm_without_a_tokenizer_counts_no_tokens(scripted, tmp_path):
    mllm = Memory(scripted(), tmp_path / "answers.sqlite")
    assert mllm.tokens_read(["A man."]) is None and mllm.tokens_written(["Yes"]) is None
