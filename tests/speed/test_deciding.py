"""All ways of deciding give the same decision. Times are not asserted."""

import numpy as np
import pytest
import tiny_qwen2vl

from icl_lib import load_params
from icl_lib.figures.speed import deciding
from icl_lib.mllm import open_picture
from icl_lib.mllm.local import LocalMLLM
from icl_lib.mllm.weights import load_model, prompts_of
from icl_lib.speed.deciding import GENERATED, PLAIN, SHARED, by_generating, by_texts, enlarged


@pytest.fixture(scope="module")
def mllm(tmp_path_factory):
    folder = tiny_qwen2vl.tiny_qwen2vl(tmp_path_factory.mktemp("tiny") / "qwen2vl")
    params = load_params(model=str(folder), prompts="full")
    return LocalMLLM(*load_model(params, folder), prompts_of(params), name="tiny", batch_size=4)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return [
        open_picture(path) for path in tiny_qwen2vl.pictures(tmp_path_factory.mktemp("pictures"), 4)
    ]


def test_each_generated_answer_returns_to_its_own_pair(mllm, pictures, monkeypatch):
    """With a `generate` whose answer depends on the length of the prompt."""
    monkeypatch.setattr(
        type(mllm.reader),
        "generate",
        lambda self, inputs, new_tokens: inputs["attention_mask"].sum(1, keepdim=True),
    )
    monkeypatch.setattr(
        mllm.reader.tokenizer,
        "batch_decode",
        lambda ids, **_: ["Yes." if int(n) % 2 else "No." for n in ids],
        raising=False,
    )
    texts = ["a" * n for n in (5, 2, 9, 4, 7, 1)]
    images = [pictures[row % 4] for row in range(6)]
    rendered = [mllm.reader.render(mllm.prompts.ask_match(text), True) for text in texts]
    seen = list(mllm.reader.see(images[:1]).values()) * 6
    lengths = map(len, mllm.reader.tokens(rendered, seen))
    assert by_generating(mllm, images, texts).tolist() == [n % 2 == 1 for n in lengths]


def test_by_texts_has_a_row_for_each_number_of_texts(mllm, pictures):
    texts = ["A man.", "A woman in red.", "x"]
    table = by_texts(mllm, pictures, texts, counts=(1, 3), repeats=1)
    assert list(table.index) == [1, 3]
    assert (table[[GENERATED, PLAIN, SHARED]] > 0).all(axis=None)
    assert (table["difference"] < 1e-4).all() and table["same word"].between(0, 100).all()
    assert table.loc[1, "tokens"] == pytest.approx(1) and 1.1 < table.loc[3, "tokens"] < 3
    assert mllm.share_prefix, "share_prefix has its old value again"
    figure = deciding({"tiny": table})
    assert len(figure.axes[0].patches) == 6


def test_generation_ends_at_the_limit_of_new_tokens(mllm, pictures):
    chat = mllm.reader
    inputs = chat.batch_of_pictures([chat.render("A man.", picture=True)], pictures[:1])
    assert chat.generate(inputs, 3).shape[1] <= 3
    assert np.array_equal(chat.generate(inputs, 1), chat.generate(inputs, 3)[:, :1])


def test_enlarged_pictures_keep_their_proportions(pictures):
    (larger,) = enlarged(pictures[:1], 50_176)
    assert larger.width * larger.height == pytest.approx(50_176, rel=0.02)
    ratio = pictures[0].width / pictures[0].height
    assert larger.width / larger.height == pytest.approx(ratio, rel=0.02)
