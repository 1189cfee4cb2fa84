"""The same promises for every class of model: Qwen2-VL, 2.5, 3 and SmolVLM, tiny and random."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_models import TINY, plain_p_yes
from transformers.models.smolvlm import processing_smolvlm

from icl_lib import load_params
from icl_lib.mllm import forward
from icl_lib.mllm.chat import Chat
from icl_lib.mllm.local import LocalMLLM
from icl_lib.mllm.lora import add_lora, train_adapter
from icl_lib.mllm.weights import load_model, prompts_of

TEXTS = [
    "A woman.",
    "A man in a red coat, blue jeans and white shoes.",
    "red",
    "He carries a brown bag.",
]


@pytest.fixture(scope="module", params=TINY)
def folder(request, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    # SmolVLM's processor refuses to start without a package that spells out numbers.
    patch.setattr(processing_smolvlm, "num2words", processing_smolvlm.num2words or str)
    yield TINY[request.param](tmp_path_factory.mktemp("tiny") / request.param)
    patch.undo()


@pytest.fixture
def params(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    given = dict(prompts="full", mllm__batch_size=4, max_new_tokens=8)
    return load_params(model=str(folder), sft__epochs=2, sft__batch_size=8, sft__lr=2e-2, **given)


@pytest.fixture
def make(params, folder):
    def make(**options):
        model, processor = load_model(params, folder)
        options = {"batch_size": 4, "max_new_tokens": 8} | options
        return LocalMLLM(model, processor, prompts_of(params), name="tiny", **options)

    return make


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Pictures of three shapes, two of one."""
    rng, where = np.random.default_rng(0), tmp_path_factory.mktemp("shapes")
    paths = []
    for number, (width, height) in enumerate([(48, 144), (48, 144), (120, 60), (64, 64)]):
        noise = rng.integers(0, 255, (height // 8, width // 8, 3)).astype(np.uint8)
        Image.fromarray(noise).resize((width, height)).save(where / f"{number}.png")
        paths.append(str(where / f"{number}.png"))
    return paths


@pytest.fixture
def adapter(params, folder, tmp_path):
    """A LoRA that was not trained but is not zero either."""
    adapted = add_lora(load_model(params, folder)[0], params)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_p_yes_is_the_plain_model_s_whatever_the_batch(make, folder, shapes):
    """Alone, in batches, with and without a common beginning read once: one answer."""
    images, texts = shapes * 4, [text for text in TEXTS for _ in shapes]
    expected = plain_p_yes(folder, make().prompts, images, texts)
    assert np.ptp(expected) > 0.01
    for options in (
        {"batch_size": 1},
        {"batch_size": 3},
        {"batch_size": 64},
        {"share_prefix": False},
    ):
        np.testing.assert_allclose(make(**options).p_yes(images, texts), expected, atol=2e-5)


def test_a_picture_is_read_once_for_all_its_texts(make, shapes, monkeypatch):
    mllm, batch, pictures = make(), Chat.batch, []
    assert mllm.reader.caches_pictures

    def counted(self, tokens, seen=()):
        pictures.append(len(seen))
        return batch(self, tokens, seen)

    monkeypatch.setattr(Chat, "batch", counted)
    mllm.p_yes(shapes[:2] * 8, [f"A man {number}." for number in range(16)])
    # One row gives the positions, one forward holds both pictures, the texts go without any.
    assert pictures == [1, 2, 0, 0, 0, 0]


def test_without_encoded_pictures_the_answers_are_the_same(make, shapes):
    mllm = make()
    images, texts = shapes * 2, TEXTS * 2
    encoded, written = mllm.p_yes(images, texts), mllm.write(TEXTS, shapes)
    mllm.reader.caches_pictures = mllm._writer.caches_pictures = False
    np.testing.assert_allclose(mllm.p_yes(images, texts), encoded, atol=2e-5)
    assert mllm.write(TEXTS, shapes) == written


def test_write_is_equal_whatever_the_batch(make, shapes):
    one, many = make(batch_size=1), make(batch_size=64)
    assert one.write(TEXTS) == many.write(TEXTS)
    assert one.write(TEXTS, shapes) == many.write(TEXTS, shapes)


def test_merged_and_unmerged_adapters_answer_alike(make, adapter, shapes, monkeypatch):
    asked = shapes * 2, TEXTS * 2
    raw, merged = make(), make(adapter=adapter)
    monkeypatch.setattr("icl_lib.mllm.local.SMALL", 0)
    beside = make(adapter=adapter)
    assert merged._adapted is None and beside._adapted is not None
    np.testing.assert_allclose(merged.p_yes(*asked), beside.p_yes(*asked), atol=2e-5)
    assert np.abs(merged.p_yes(*asked) - raw.p_yes(*asked)).max() > 1e-3
    assert beside.write(TEXTS, shapes) == raw.write(TEXTS, shapes) == merged.write(TEXTS, shapes)


def test_lora_trains_on_it(params, shapes, tmp_path, make):
    words = {"black": 1, "white": 0}
    rows = [(path, word, label) for path in shapes for word, label in words.items()]
    pairs = pd.DataFrame(rows, columns=["path", "caption", "label"])
    trained = train_adapter(params, pairs, tmp_path / "trained")
    log = pd.read_csv(trained / "log.csv")
    assert len(log) == 2 and np.isfinite(log["loss"]).all()
    asked = pairs["path"].tolist(), pairs["caption"].tolist()
    assert np.abs(make(adapter=trained).p_yes(*asked) - make().p_yes(*asked)).max() > 1e-4


def test_a_state_that_cannot_be_shared_is_computed_again(make, shapes, monkeypatch):
    """A sliding window keeps no whole beginning, so each text is read whole, with equal answers."""
    images, texts = shapes[:1] * 4, TEXTS
    shared = make().p_yes(images, texts)
    monkeypatch.setattr(forward, "DynamicLayer", type("Other", (), {}))
    np.testing.assert_allclose(make().p_yes(images, texts), shared, atol=2e-5)
