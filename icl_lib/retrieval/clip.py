"""open_clip's CLIP as RDE reads it: all projected tokens and one row of attention.

Only that one row of attention weights is ever computed; all other attention stays fused. weights.py
finds and loads the weights.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW_TOKENS = 64  # up to this length, attention without the fused kernel is faster on a CPU
TEXTS_TOGETHER = 16  # texts of similar length whose attention is computed together on a CPU


def resize_image_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position embedding [1 + g·g, d] of a square patch grid, bilinearly resized to `grid`.

    The class token's position is kept. `resize_image_grid` resizes grids that are not square.

    Returns:
        [1 + rows·columns, d] for `grid` (rows, columns).
    """
    side = math.isqrt(len(positions) - 1)
    if side * side != len(positions) - 1:
        raise ValueError(
            f"{len(positions)} positions are not a class token and a square grid of patches: "
            "use resize_image_grid"
        )
    return resize_image_grid(positions, (side, side), grid)


def resize_image_grid(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Position embedding [1 + rows·columns, d] of patch grid `old`, bilinearly resized to `new`."""
    if tuple(old) == tuple(new):
        return positions
    patches = positions[1:].T.reshape(1, -1, *old)  # [1, d, rows, columns]
    patches = F.interpolate(patches.float(), tuple(new), mode="bilinear", align_corners=False)
    return torch.cat([positions[:1], patches.flatten(2)[0].T.to(positions.dtype)])


def resize_text_positions(positions: Tensor, length: int) -> Tensor:
    """Position embedding [L, d], linearly interpolated to [length, d]."""
    if len(positions) == length:
        return positions
    resized = positions.float().T[None]  # [1, d, L]
    resized = F.interpolate(resized, int(length), mode="linear", align_corners=False)
    return resized[0].T.to(positions.dtype)


def trim(ids: Tensor) -> Tensor:
    """`ids` [B, L] cut to the longest text of the batch; EOT is the largest id of a row."""
    return ids[:, : int(ids.argmax(1).max()) + 1]


def token_at(tokens: Tensor, position: Tensor) -> Tensor:
    """The token of each row at `position` [B], out of tokens [B, N, …]."""
    return tokens[torch.arange(len(tokens), device=tokens.device), position]


def encode_image_tokens(
    clip: nn.Module, images: Tensor, keep: int | None = None
) -> tuple[Tensor, Tensor]:
    """All projected tokens of images, and the class token's last-layer attention.

    Args:
        clip: open_clip's CLIP with a vision transformer.
        images: normalised pixels [B, 3, H, W].
        keep: if given, return only the class token and the `keep` patches that it attends to most;
            the last layer is then computed for these alone.

    Returns:
        Tokens [B, 1 + patches, D], the class token first, and its attention averaged over the heads
        [B, 1 + patches]. With `keep` both have 1 + keep entries.
    """
    visual = clip.visual
    x = visual.ln_pre(_image_embeddings(visual, images))
    anchor = torch.zeros(len(x), dtype=torch.long, device=x.device)
    x, attention = _transform(visual.transformer, x, anchor, causal=False, keep=keep)
    return visual.ln_post(x) @ visual.proj, attention


def encode_text_tokens(clip: nn.Module, ids: Tensor) -> tuple[Tensor, Tensor]:
    """All projected tokens [B, L, D] of texts, and the EOT token's last-layer attention [B, L].

    `ids` [B, L]: EOT is the largest id of a row, padding follows it. Under the causal mask nothing
    behind EOT affects the tokens up to it, so a batch may be shortened by `trim` first. On a CPU
    the tokens behind EOT may be zeros.
    """
    if ids.shape[1] > len(clip.positional_embedding):
        raise ValueError(
            f"texts of {ids.shape[1]} tokens, but the text encoder has "
            f"{len(clip.positional_embedding)} positions: set backbone.context_length"
        )
    groups = _groups_of_like_length(ids)
    if groups is not None:
        return _encode_groups(clip, ids, groups)
    x = clip.token_embedding(ids) + clip.positional_embedding[: ids.shape[1]]
    x, attention = _transform(clip.transformer, x, ids.argmax(1), causal=True)
    return clip.ln_final(x) @ clip.text_projection, attention


def _groups_of_like_length(ids: Tensor) -> tuple[Tensor, ...] | None:
    """Rows of `ids` [B, L] in groups of similar length, shortest first; None if that saves little.

    A GPU is faster with one large batch, so there the answer is always None.
    """
    if ids.device.type != "cpu" or len(ids) <= TEXTS_TOGETHER:
        return None
    lengths, order = (ids.argmax(1) + 1).sort(stable=True)
    cost = sum(len(part) * int(part[-1]) for part in lengths.split(TEXTS_TOGETHER))
    return order.split(TEXTS_TOGETHER) if cost < 0.9 * ids.numel() else None


def _encode_groups(
    clip: nn.Module, ids: Tensor, groups: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """`encode_text_tokens`, with each group of texts trimmed to its longest.

    Attention is computed group by group, and everything that treats tokens one by one as a single
    matrix product over the M tokens of all groups.
    """
    parts = [trim(ids[rows]) for rows in groups]
    shapes = [tuple(part.shape) for part in parts]
    place = torch.cat([torch.arange(n).expand(b, n).flatten() for b, n in shapes])
    x = clip.token_embedding(torch.cat([part.flatten() for part in parts]))
    x = x + clip.positional_embedding[place]  # [M, width]
    for block in clip.transformer.resblocks:
        qkv = _qkv(block.attn, block.ln_1(x)).split([b * n for b, n in shapes])
        heads = [
            _split_heads(part.unflatten(0, shape), block.attn.num_heads)
            for part, shape in zip(qkv, shapes, strict=True)
        ]
        attended = [_attend(q, k, v, causal=True) for q, k, v in heads]
        x = x + block.attn.out_proj(torch.cat([part.flatten(0, 1) for part in attended]))
        x = x + _mlp(block.mlp, block.ln_2(x))
    projected = clip.ln_final(x) @ clip.text_projection
    row = torch.cat([r[:, None].expand(*s).flatten() for r, s in zip(groups, shapes, strict=True)])
    tokens = projected.new_zeros(*ids.shape, projected.shape[1]).index_put((row, place), projected)
    attention = torch.zeros(ids.shape)
    for rows, part, (q, k, _) in zip(groups, parts, heads, strict=True):
        attention[rows, : part.shape[1]] = _anchor_row(q, k, part.argmax(1), causal=True)
    return tokens, attention


def _image_embeddings(visual: nn.Module, images: Tensor) -> Tensor:
    """The transformer's input [B, 1 + patches, width].

    Patches are embedded by one matrix product: on a CPU it is far faster than the convolution that
    it equals, also in the backward pass.
    """
    batch, channels, height, width = images.shape
    rows, columns = visual.patch_size
    if (height, width) != tuple(visual.image_size):
        raise ValueError(
            f"images of {height} x {width} pixels, but the encoder takes "
            f"{tuple(visual.image_size)}: set backbone.image_size"
        )
    patches = images.reshape(batch, channels, height // rows, rows, width // columns, columns)
    patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # [B, patches, pixels]
    x = F.linear(patches, visual.conv1.weight.flatten(1))
    first = visual.class_embedding.to(x.dtype).expand(batch, 1, -1)
    return torch.cat([first, x], dim=1) + visual.positional_embedding


def _transform(
    transformer: nn.Module, x: Tensor, anchor: Tensor, causal: bool, keep: int | None = None
) -> tuple[Tensor, Tensor]:
    for block in transformer.resblocks[:-1]:
        x, _ = _block(block, x, causal)
    return _block(transformer.resblocks[-1], x, causal, anchor, keep)


def _block(
    block: nn.Module, x: Tensor, causal: bool, anchor: Tensor | None = None, keep: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """One pre-norm residual block; given `anchor` [B], also that token's attention [B, N].

    With `keep`, the result holds only token 0 (the anchor) and the `keep` that it attends to most.
    """
    q, k, v = _split_heads(_qkv(block.attn, block.ln_1(x)), block.attn.num_heads)
    row = None if anchor is None else _anchor_row(q, k, anchor, causal)
    if keep is not None and keep < x.shape[1] - 1:
        kept = F.pad(row[:, 1:].topk(keep, dim=1).indices + 1, (1, 0))  # [B, 1 + keep]
        row = row.gather(1, kept)
        x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[2]))
        q = q.gather(2, kept[:, None, :, None].expand(-1, q.shape[1], -1, q.shape[3]))
    x = x + block.attn.out_proj(_attend(q, k, v, causal))
    return x + _mlp(block.mlp, block.ln_2(x)), row


def _anchor_row(q: Tensor, k: Tensor, anchor: Tensor, causal: bool) -> Tensor:
    """Attention [B, N] of the token at `anchor` [B], averaged over the heads, without gradient."""
    row = token_at(q.detach().transpose(1, 2), anchor)[:, :, None]  # [B, heads, 1, width]
    logits = (row @ k.detach().transpose(-1, -2))[:, :, 0].float() * q.shape[-1] ** -0.5
    if causal:
        after = torch.arange(k.shape[2], device=k.device) > anchor[:, None]  # [B, N]
        logits = logits.masked_fill(after[:, None], -torch.inf)
    return logits.softmax(-1).mean(1)


def _qkv(attn: nn.MultiheadAttention, x: Tensor) -> Tensor:
    return F.linear(x, attn.in_proj_weight, attn.in_proj_bias)


def _split_heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, each [B, heads, N, width], from [B, N, 3·heads·width]."""
    return qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


def _attend(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Multi-head attention [B, N, heads·width], before the output projection.

    On a CPU the backward pass of the fused kernel takes five times as long as that of plain matrix
    products (2 cores, bf16), and for short sequences its forward pass is slower too.
    """
    if q.device.type == "cpu" and (torch.is_grad_enabled() or k.shape[2] <= FEW_TOKENS):
        attended = _attention_weights(q, k, causal).to(v.dtype) @ v
    else:
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return attended.transpose(1, 2).flatten(2)


def _attention_weights(q: Tensor, k: Tensor, causal: bool) -> Tensor:
    """Attention weights [B, heads, N, N] in float32."""
    mask = q.new_zeros(1)
    if causal:
        mask = torch.full((q.shape[2], k.shape[2]), -torch.inf, device=q.device, dtype=q.dtype)
        mask = mask.triu(1)
    # Scaled, and masked where causal, within the one product.
    logits = torch.baddbmm(
        mask, q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2), alpha=q.shape[-1] ** -0.5
    )
    # On a CPU the softmax of bf16 values is four times as fast in float32 as in bf16.
    return logits.view(*q.shape[:3], k.shape[2]).softmax(-1, dtype=torch.float32)


def _mlp(mlp: nn.Sequential, x: Tensor) -> Tensor:
    """c_proj(act(c_fc(x))).

    QuickGELU, x·sigmoid(1.702·x), equals silu(1.702·x) / 1.702. With both factors moved into the
    small weight matrices it takes one fused pass over the activations instead of three.
    """
    if type(mlp.gelu).__name__ != "QuickGELU":
        return mlp(x)
    slope = 1.702
    x = F.silu(F.linear(x, mlp.c_fc.weight * slope, mlp.c_fc.bias * slope))
    return F.linear(x, mlp.c_proj.weight / slope, mlp.c_proj.bias)
