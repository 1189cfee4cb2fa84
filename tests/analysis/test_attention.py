"""The attention that is shown is the attention that the model's own selection reads."""

import numpy as np
import pytest
import torch
from PIL import Image

from icl_lib.analysis.attention import kept, picture_attention, word_attention
from icl_lib.data.pictures import normalise, read_image
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.weights import build_clip

CONFIG = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": [48, 16],
        "layers": 2,
        "width": 32,
        "head_width": 16,
        "patch_size": 8,
    },
    "text_cfg": {"context_length": 40, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return RDE(build_clip(CONFIG, None), 16, 0.3, precision="fp32").eval()


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (60, 25, 3), dtype=np.uint8)).save(
            tmp_path / f"{i}.png"
        )
    return [tmp_path / f"{i}.png" for i in range(3)]


@torch.no_grad()
def last_attention(blocks, x, mask=None):
    """Head-averaged attention [B, N, N] of the last block, by torch's own attention module."""
    for block in blocks:
        y = block.ln_1(x)
        attended, weights = block.attn(y, y, y, attn_mask=mask)
        x = x + attended
        x = x + block.mlp(block.ln_2(x))
    return weights.numpy()


def test_picture_attention_is_the_class_tokens_row(model, paths):
    attention = picture_attention(model, paths)
    pixels = torch.from_numpy(np.stack([read_image(path, (48, 16)) for path in paths]))
    visual = model.clip.visual
    whole = last_attention(visual.transformer.resblocks, visual._embeds(normalise(pixels)))
    assert attention.shape == (3, 6, 2)
    assert attention.reshape(3, -1) == pytest.approx(whole[:, 0, 1:], abs=1e-5)


def test_word_attention_names_each_token(model):
    table = word_attention(model, "A woman in red.")
    clip, ids = model.clip, model.tokenise(["A woman in red."])
    x = clip.token_embedding(ids) + clip.positional_embedding
    whole = last_attention(clip.transformer.resblocks, x, clip.attn_mask)[0, 6]
    assert table["token"].tolist() == ["a", "woman", "in", "red", "."]
    assert table["attention"].to_numpy() == pytest.approx(whole[1:6], abs=1e-5)


def test_kept_takes_the_most_attended_share():
    attention = np.arange(24, dtype=float).reshape(2, 6, 2)
    chosen = kept(attention, 0.3)
    assert chosen.sum((1, 2)).tolist() == [3, 3] and chosen[:, -2:].sum() == 6
