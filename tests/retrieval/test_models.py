import numpy as np
import pytest
import torch
import torch.nn.functional as F

from icl_lib.data.pictures import normalise
from icl_lib.data.views import Images
from icl_lib.retrieval.backbone import Backbone, uses_bf16
from icl_lib.retrieval.load import load_backbone, new_backbone
from icl_lib.retrieval.models import RDE, TokenSelection


def released_head(golden, kind):
    head = TokenSelection(32, 64, 0.3)
    prefix = f"tse.{kind}_state."
    head.load_state_dict(
        {name[len(prefix) :]: t for name, t in golden.items() if name.startswith(prefix)}
    )
    return head.eval()


def test_token_selection_agrees_with_the_released_code(golden):
    image, text = released_head(golden, "v"), released_head(golden, "t")
    found = image(golden["tse.v_feats"], golden["tse.v_attn"])
    assert torch.allclose(found, golden["tse.v_out"], atol=1e-4)
    found = text(golden["tse.t_feats"], golden["tse.t_attn"], golden["tse.t_ids"])
    assert torch.allclose(found, golden["tse.t_out"], atol=1e-4)


def test_token_selection_takes_one_row_of_attention_and_trimmed_texts(golden):
    image, text = released_head(golden, "v"), released_head(golden, "t")
    found = image(golden["tse.v_feats"], golden["tse.v_attn"][:, 0])
    assert torch.allclose(found, golden["tse.v_out"], atol=1e-4)
    ids = golden["tse.t_ids"]
    longest = int(ids.argmax(1).max()) + 1
    assert longest < ids.shape[1]
    row = golden["tse.t_attn"][torch.arange(5), ids.argmax(1)]
    found = text(
        golden["tse.t_feats"][:, :longest], row[:, :longest], ids[:, :longest], length=ids.shape[1]
    )
    assert torch.allclose(found, golden["tse.t_out"], atol=1e-4)


def slow_selection(head, tokens, row, inner, count):
    """One item: pick, embed token by token, pool."""
    order = sorted(inner, key=lambda j: -row[j])[:count]
    out = []
    for j in order:
        x = tokens[j] / tokens[j].norm()
        bn = head.mlp.bns[0]
        hidden = head.mlp.layers[0](x)
        hidden = (hidden - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias
        out.append(head.linear(x) + head.mlp.layers[1](hidden.clamp(min=0)))
    return torch.stack(out).max(0).values


@pytest.mark.parametrize("words", [0, 1, 2, 3, 5, 17])
def test_texts_of_any_length_match_a_slow_selection(words):
    torch.manual_seed(words)
    head = TokenSelection(8, 12, 0.3).eval()
    length = 20
    ids = torch.zeros(2, length, dtype=torch.long)
    for row, n in enumerate((words, 9)):
        ids[row, 0], ids[row, 1 : n + 1], ids[row, n + 1] = 98, torch.randint(1, 90, (n,)), 99
    tokens, attention = torch.randn(2, length, 8), torch.rand(2, length)
    found = head(tokens, attention, ids)
    for row, n in enumerate((words, 9)):
        inner = range(1, n + 1) if n else [1]  # a text without words: its EOT token
        expected = slow_selection(head, tokens[row], attention[row], inner, 5)
        assert torch.allclose(found[row], expected, atol=1e-5)


def test_padding_never_enters_batchnorm():
    torch.manual_seed(0)
    head = TokenSelection(8, 12, 0.5)
    ids = torch.tensor([[98, 5, 6, 7, 99, 0, 0, 0], [98, 8, 99, 0, 0, 0, 0, 0]])
    tokens, attention = torch.randn(2, 8, 8), torch.rand(2, 8)
    head(tokens, attention, ids)
    first = head.mlp.bns[0].running_mean.clone()
    head.mlp.bns[0].reset_running_stats()
    changed = tokens.clone()
    changed[0, 5:], changed[1, 3:] = 100.0, -100.0
    head(changed, attention, ids)
    assert torch.equal(first, head.mlp.bns[0].running_mean)


def test_a_single_token_in_training_gives_a_finite_result():
    head = TokenSelection(8, 12, 0.3)
    out = head(torch.randn(1, 3, 8), torch.rand(1, 3), torch.tensor([[98, 4, 99]]))
    out.sum().backward()
    assert out.isfinite().all() and head.linear.weight.grad.isfinite().all()


def test_inner_product_is_the_mean_of_two_cosines(tiny, benchmark_table):
    model = new_backbone(tiny())
    assert isinstance(model, RDE)
    rows = benchmark_table.drop_duplicates("image_id").head(5)
    images, texts = (
        model.encode_images(rows["path"].tolist()),
        model.encode_texts(rows["caption"].tolist()),
    )
    assert images.dtype == texts.dtype == np.float32 and images.shape == texts.shape == (5, 64)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    parts, other = model.branches_of(images), model.branches_of(texts)
    mean = (other["bge"] @ parts["bge"].T + other["tse"] @ parts["tse"].T) / 2
    np.testing.assert_allclose(texts @ images.T, mean, atol=1e-5)


def test_vectors_are_made_from_open_clips_features(tiny, benchmark_table):
    model = load_backbone(tiny())
    assert type(model) is Backbone
    rows = benchmark_table.drop_duplicates("image_id").head(3)
    pixels = torch.from_numpy(np.stack([image for image in Images(rows["path"], (48, 16))]))
    with torch.no_grad():
        image = F.normalize(model.clip.encode_image(normalise(pixels)), dim=-1)
        text = F.normalize(model.clip.encode_text(model.tokenise(rows["caption"].tolist())), dim=-1)
    np.testing.assert_allclose(model.encode_images(rows["path"].tolist()), image, atol=1e-5)
    np.testing.assert_allclose(model.encode_texts(rows["caption"].tolist()), text, atol=1e-5)


def test_images_may_be_paths_pictures_or_normalised_tensors(tiny, benchmark_table):
    from PIL import Image

    model = new_backbone(tiny())
    paths = benchmark_table["path"].drop_duplicates().tolist()[:4]
    expected = model.encode_images(paths)
    loaded = Images(paths, (48, 16))
    np.testing.assert_allclose(
        model.encode_images([Image.open(path) for path in paths]), expected, atol=1e-6
    )
    np.testing.assert_allclose(model.encode_images(loaded.pixels), expected, atol=1e-6)
    np.testing.assert_allclose(
        model.encode_images(torch.from_numpy(loaded.pixels)), expected, atol=1e-6
    )
    assert model.encode_images([]).shape == (0, 64) and model.encode_texts([]).shape == (0, 64)


def test_each_item_is_encoded_once_and_in_order(tiny, benchmark_table, monkeypatch):
    model = new_backbone(tiny(eval_batch=4))
    seen = {"images": 0, "texts": 0}
    image_branches, text_branches = model.image_branches, model.text_branches

    def images(batch):
        seen["images"] += len(batch)
        return image_branches(batch)

    def texts(ids):
        seen["texts"] += len(ids)
        return text_branches(ids)

    paths = benchmark_table["path"].tolist()[:12]
    captions = ["red", "a very long text about a person in a red shirt", "blue"] * 4
    one_by_one = np.concatenate([model.encode_texts([caption]) for caption in captions])
    monkeypatch.setattr(model, "image_branches", images)
    monkeypatch.setattr(model, "text_branches", texts)
    np.testing.assert_allclose(model.encode_texts(captions), one_by_one, atol=1e-5)
    found = model.encode_images(paths)
    assert seen == {"images": len(set(paths)), "texts": 3}
    np.testing.assert_array_equal(found[0], found[1])  # two captions of one picture


def test_encoding_leaves_training_mode_and_statistics_alone(tiny):
    model = new_backbone(tiny()).train()
    before = model.tse_text.mlp.bns[0].running_mean.clone()
    model.encode_texts(["a person"])
    assert model.training and torch.equal(before, model.tse_text.mlp.bns[0].running_mean)


METHODS = pytest.mark.parametrize("method", ["rde", "irra", "clip"])


@METHODS
@pytest.mark.parametrize(
    "text", ["", "!!! ?", "word " * 5000, "人 🙂", "qzxj vbnw kjhg", "\x00\ufffd"]
)
def test_odd_texts_have_finite_unit_vectors(tiny, method, text):
    model = new_backbone(tiny(backbone={"method": method}), identities=[1, 2])
    alone, beside = model.encode_texts([text]), model.encode_texts(["a person in red", text])
    assert np.linalg.norm(alone) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(beside[1], alone[0], atol=1e-5)


def test_a_text_of_5000_words_is_its_beginning(tiny):
    model = new_backbone(tiny())
    ids = model.tokenise(["shirt " * 5000, "shirt " * 200])
    assert ids.shape == (2, 40) and torch.equal(ids[0], ids[1])
    assert ids[0, -1] == model.tokenizer.eot_token_id
    np.testing.assert_array_equal(*model.encode_texts(["shirt " * 5000, "shirt " * 200]))


@METHODS
def test_odd_pictures_have_finite_unit_vectors(tiny, tmp_path, method):
    from PIL import Image

    rng = np.random.default_rng(0)
    grey = rng.integers(0, 65536, (40, 20)).astype(np.uint16)
    pictures = {
        "dot.png": Image.new("RGB", (1, 1), (200, 10, 10)),
        "ink.jpg": Image.fromarray(rng.integers(0, 256, (40, 20, 4), dtype=np.uint8), "CMYK"),
        "deep.png": Image.fromarray(grey),
        "line.png": Image.new("L", (400, 1), 90),
        "clear.png": Image.new("RGBA", (9, 9), (1, 2, 3, 0)),
        "two.png": Image.new("1", (8, 8), 1),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    model = new_backbone(tiny(backbone={"method": method}), identities=[1, 2])
    found = model.encode_images([tmp_path / name for name in pictures])
    assert found.shape[0] == 6 and np.isfinite(found).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    # A 1 x 1 picture is a picture of its colour; a 16-bit one is its upper 8 bits, near enough.
    eight = Image.fromarray((grey / 65535 * 255).astype(np.uint8))
    plain = [Image.new("RGB", (16, 48), (200, 10, 10)), eight]
    np.testing.assert_allclose(found[[0, 2]], model.encode_images(plain), atol=2e-3)


def test_batchnorm_stays_as_it_was_when_asked_for_what_is_released(tiny):
    def trained(frozen):
        model = new_backbone(tiny(backbone={"as_released": {"frozen_batchnorm": frozen}})).train()
        before = model.state_dict()["tse_text.mlp.bns.0.running_mean"].clone()
        tse = model.text_branches(model.tokenise(["a red shirt", "blue trousers and a hat"]))["tse"]
        return model, tse, torch.equal(before, model.tse_text.mlp.bns[0].running_mean)

    model, tse, same = trained(True)
    assert (
        same
        and model.training
        and not model.tse_text.training
        and not model.tse_image.mlp.bns[0].training
    )
    tse.sum().backward()
    assert (
        model.tse_text.mlp.bns[0].weight.grad is not None
    )  # its scale and shift learn all the same
    model.encode_texts(["a person"])
    assert model.training and not model.tse_text.training
    model, sound, same = trained(False)
    assert not same and model.tse_text.training and not torch.allclose(tse, sound, atol=1e-3)


def test_a_saved_backbone_loads_unchanged(tiny, tmp_path, benchmark_table):
    params = tiny()
    model = new_backbone(params).train()
    model.text_branches(model.tokenise(["a red shirt", "blue trousers"]))  # moves BatchNorm
    model.save(tmp_path)
    again = load_backbone(params, tmp_path)
    assert not again.training
    texts = benchmark_table["caption"].tolist()
    np.testing.assert_array_equal(model.encode_texts(texts), again.encode_texts(texts))
    with pytest.raises(FileNotFoundError, match="03_backbone"):
        load_backbone(params, tmp_path / "nothing")


def test_a_damaged_or_foreign_folder_is_reported(tiny, tmp_path):
    params = tiny()
    new_backbone(params).save(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(ValueError, match=r"model.safetensors.*copied or downloaded whole"):
        load_backbone(params, tmp_path)
    new_backbone(tiny(backbone={"method": "clip"})).save(tmp_path / "clip")
    (tmp_path / "model.safetensors").write_bytes(
        (tmp_path / "clip" / "model.safetensors").read_bytes()
    )
    with pytest.raises(
        ValueError,
        match=r"Missing key.*tse_image.linear.weight.*looks like a CLIP in OpenAI's form",
    ):
        load_backbone(params, tmp_path)


def test_bf16_gives_nearly_the_same_vectors(tiny, benchmark_table):
    texts = benchmark_table["caption"].tolist()[:6]
    exact, quick = new_backbone(tiny()), new_backbone(tiny(backbone={"precision": "bf16"}))
    cosine = (exact.encode_texts(texts) * quick.encode_texts(texts)).sum(1)
    assert cosine.min() > 0.995
    assert not np.array_equal(exact.encode_texts(texts), quick.encode_texts(texts))


def test_precision_is_as_asked():
    cpu = torch.device("cpu")
    assert uses_bf16("bf16", cpu) and not uses_bf16("fp32", cpu)
    assert isinstance(uses_bf16("auto", cpu), bool)
