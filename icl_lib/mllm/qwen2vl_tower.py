"""Qwen2-VL's vision tower on a batch of equally sized pictures at once.

transformers' own forward walks through the pictures one by one inside every attention layer, which costs a small model
on a CPU most of its time. Here the same weights see [B, N, .] tensors; the result is the same up to rounding.
"""

import torch
import torch.nn.functional as F
from transformers.models.qwen2_vl.modeling_qwen2_vl import rotate_half
from transformers.vision_utils import get_vision_position_ids


def patchify(pictures: torch.Tensor, patch: int, merge: int) -> torch.Tensor:
    """Normalised pictures [B, 3, H, W] -> patches [B, N, 3*patch*patch] in Qwen2-VL's block order (merge x merge)."""
    b, c, h, w = pictures.shape
    gh, gw = h // patch // merge, w // patch // merge
    x = pictures.reshape(b, c, gh, merge, patch, gw, merge, patch)
    return x.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(b, gh * gw * merge * merge, c * patch * patch)


def picture_tokens(visual, patches: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Visual tokens of B pictures of the same size.

    visual: a Qwen2VisionTransformerPretrainedModel. patches: [B, N, C] as its image processor makes them (C = 3*T*p*p),
    or [B, N, 3*p*p] for still pictures, whose T frames are equal. grid: (rows, columns) of patches, rows*columns = N.
    Returns [B, N / merge**2, hidden].
    """
    weight = visual.patch_embed.proj.weight  # [D, 3, T, p, p]
    if patches.shape[-1] == weight[0].numel():
        weight = weight.flatten(1)
    else:
        weight = weight.sum(2).flatten(1)
    x = F.linear(patches.to(weight.dtype), weight)  # [B, N, D]
    b, n, d = x.shape
    where = get_vision_position_ids(
        torch.tensor([[1, *grid]], device=x.device), visual.spatial_merge_size
    )
    cos, sin = visual.rotary_pos_emb(x, where)  # [N, head size]
    for block in visual.blocks:
        x = x + _attention(block.attn, block.norm1(x), cos.to(x.dtype), sin.to(x.dtype))
        x = x + block.mlp(block.norm2(x))
    tokens = visual.merger(x.reshape(b * n, d))  # [B * N / merge**2, hidden]
    return tokens.view(b, -1, tokens.shape[-1])


def _attention(attn, x, cos, sin):
    b, n, d = x.shape
    q, k, v = (
        attn.qkv(x).view(b, n, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    )  # each [B, heads, N, head size]
    q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
    weights = (q @ k.transpose(-1, -2) * attn.scaling).softmax(-1)
    return attn.proj((weights @ v).transpose(1, 2).reshape(b, n, d))
