"""Qwen2-VL's vision tower on a batch of pictures of one size.

transformers' own forward walks through the pictures one by one inside every attention layer, which
costs a small model on a CPU most of its time. Here the same weights see [B, N, .] tensors; the
result is the same up to rounding.
"""

import torch
import torch.nn.functional as F
from transformers.models.qwen2_vl.modeling_qwen2_vl import rotate_half
from transformers.vision_utils import get_vision_position_ids


def patchify(pictures: torch.Tensor, patch: int, merge: int) -> torch.Tensor:
    """Normalised pictures [B, 3, H, W] as patches [B, N, 3*p*p] in Qwen2-VL's block order."""
    b, c, h, w = pictures.shape
    rows = h // patch // merge
    columns = w // patch // merge
    x = pictures.reshape(b, c, rows, merge, patch, columns, merge, patch)
    x = x.permute(0, 2, 5, 3, 6, 1, 4, 7)
    return x.reshape(b, rows * columns * merge * merge, c * patch * patch)


def picture_tokens(visual, patches: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Visual tokens [B, N / merge**2, hidden] of B pictures of the same size.

    Args:
        visual: a Qwen2VisionTransformerPretrainedModel.
        patches: [B, N, 3*T*p*p] as its image processor makes them, or [B, N, 3*p*p] for still
            pictures, whose T frames are equal.
        grid: rows and columns of patches; rows * columns = N.
    """
    weight = visual.patch_embed.proj.weight  # [D, 3, T, p, p]
    whole = patches.shape[-1] == weight[0].numel()
    weight = weight.flatten(1) if whole else weight.sum(2).flatten(1)
    x = F.linear(patches.to(weight.dtype), weight)  # [B, N, D]
    b, n, d = x.shape
    grids = torch.tensor([[1, *grid]], device=x.device)
    where = get_vision_position_ids(grids, visual.spatial_merge_size)
    cos, sin = visual.rotary_pos_emb(x, where)  # [N, head size]
    for block in visual.blocks:
        x = x + _attention(block.attn, block.norm1(x), cos.to(x.dtype), sin.to(x.dtype))
        x = x + block.mlp(block.norm2(x))
    tokens = visual.merger(x.reshape(b * n, d))  # [B * N / merge**2, hidden]
    return tokens.view(b, -1, tokens.shape[-1])


def _attention(attn, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    b, n, d = x.shape
    heads = attn.qkv(x).view(b, n, 3, attn.num_heads, -1)
    q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [B, heads, N, head size]
    q = q * cos + rotate_half(q) * sin
    k = k * cos + rotate_half(k) * sin
    weights = (q @ k.transpose(-1, -2) * attn.scaling).softmax(-1)
    return attn.proj((weights @ v).transpose(1, 2).reshape(b, n, d))
