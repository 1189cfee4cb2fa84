"""open_clip's CLIP, read as RDE needs it: every projected token, and one row of the last layer's attention.

Only that one row's weights are ever formed; all other attention stays fused. Where the weights come from is
in `clip_files`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW_TOKENS = 64  # up to which a CPU attends faster without the fused kernel
TEXTS_TOGETHER = 16  # texts of like length whose attention is computed together, on a CPU


def resize_image_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position embedding [1 + g·g, d] of a square patch grid, bilinearly resized to [1 + rows·columns, d].

    The class token's position is kept. A grid that is not square is given by `resize_image_grid`.
    """
    side = math.isqrt(len(positions) - 1)
    if side * side != len(positions) - 1:
        raise ValueError(
            f"{len(positions)} positions are not a class token and a square grid of patches"
        )
    return resize_image_grid(positions, (side, side), grid)


def resize_image_grid(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Position embedding [1 + rows·columns, d] of grid `old`, bilinearly resized to grid `new`."""
    if tuple(old) == tuple(new):
        return positions
    patches = positions[1:].T.reshape(1, -1, *old)  # [1, d, rows, columns]
    patches = F.interpolate(patches.float(), tuple(new), mode="bilinear", align_corners=False)
    return torch.cat([positions[:1], patches.flatten(2)[0].T.to(positions.dtype)])


def resize_text_positions(positions: Tensor, length: int) -> Tensor:
    """Position embedding [L, d] linearly interpolated to [length, d]."""
    if len(positions) == length:
        return positions
    resized = F.interpolate(
        positions.float().T[None], int(length), mode="linear", align_corners=False
    )
    return resized[0].T.to(positions.dtype)


def encode_image_tokens(
    clip: nn.Module, images: Tensor, keep: int | None = None
) -> tuple[Tensor, Tensor]:
    """All projected tokens [B, 1 + patches, D] and the class token's last-layer attention [B, 1 + patches].

    The attention is averaged over heads; token 0 is the class token. `images` [B, 3, H, W] are normalised
    pixels. With `keep`, only the class token and the `keep` patches it attends to most are given, of both
    [B, 1 + keep, ...]: what the last layer would make of the others is then never computed.
    """
    visual = clip.visual
    x = visual.ln_pre(_image_embeddings(visual, images))
    anchor = torch.zeros(len(x), dtype=torch.long, device=x.device)
    x, attention = _transform(visual.transformer, x, anchor, causal=False, keep=keep)
    return visual.ln_post(x) @ visual.proj, attention


def encode_text_tokens(clip: nn.Module, ids: Tensor) -> tuple[Tensor, Tensor]:
    """All projected tokens [B, L, D] and the EOT token's last-layer attention [B, L].

    `ids` [B, L]: EOT is the largest id of a row, padding follows it. Under the causal mask nothing after a
    row's EOT changes what comes before, so `trim` may shorten a batch first without changing any token up to
    EOT. On a CPU little is computed past EOT where texts differ in length: what stands there may be zeros.
    """
    if ids.shape[1] > len(clip.positional_embedding):
        raise ValueError(
            f"texts of {ids.shape[1]} tokens, but the text encoder has "
            f"{len(clip.positional_embedding)} positions: set context_length"
        )
    groups = _like_length(ids)
    if groups is not None:
        return _encode_groups(clip, ids, groups)
    x = clip.token_embedding(ids) + clip.positional_embedding[: ids.shape[1]]
    x, attention = _transform(clip.transformer, x, ids.argmax(1), causal=True)
    return clip.ln_final(x) @ clip.text_projection, attention


def _like_length(ids: Tensor) -> tuple[Tensor, ...] | None:
    """Rows of `ids` [B, L] in groups of like length, shortest first; None where that would save little.

    A GPU would rather have one large batch.
    """
    if ids.device.type != "cpu" or len(ids) <= TEXTS_TOGETHER:
        return None
    lengths, order = (ids.argmax(1) + 1).sort(stable=True)
    cost = sum(len(part) * int(part[-1]) for part in lengths.split(TEXTS_TOGETHER))
    return order.split(TEXTS_TOGETHER) if cost < 0.9 * ids.numel() else None


def _encode_groups(
    clip: nn.Module, ids: Tensor, groups: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """`encode_text_tokens` of each group trimmed to its longest text; all that is done token by token is one
    product over all groups.
    """
    parts = [trim(ids[rows]) for rows in groups]
    shapes = [tuple(part.shape) for part in parts]
    place = torch.cat([torch.arange(n).expand(b, n).flatten() for b, n in shapes])
    x = (
        clip.token_embedding(torch.cat([part.flatten() for part in parts]))
        + clip.positional_embedding[place]
    )
    for block in clip.transformer.resblocks:  # x [M, width], the groups' tokens one after another
        each = _qkv(block.attn, block.ln_1(x)).split([b * n for b, n in shapes])
        heads = [
            _split(qkv.unflatten(0, shape), block.attn.num_heads)
            for qkv, shape in zip(each, shapes)
        ]
        attended = [_attend(q, k, v, causal=True).transpose(1, 2).flatten(2) for q, k, v in heads]
        x = x + block.attn.out_proj(torch.cat([part.flatten(0, 1) for part in attended]))
        x = x + _mlp(block.mlp, block.ln_2(x))
    projected = clip.ln_final(x) @ clip.text_projection
    row = torch.cat([rows[:, None].expand(b, n).flatten() for rows, (b, n) in zip(groups, shapes)])
    tokens = projected.new_zeros(*ids.shape, projected.shape[1]).index_put((row, place), projected)
    attention = torch.zeros(ids.shape)
    for rows, part, (q, k, _) in zip(groups, parts, heads):
        attention[rows, : part.shape[1]] = _anchor_row(q, k, part.argmax(1), causal=True)
    return tokens, attention


def trim(ids: Tensor) -> Tensor:
    """`ids` [B, L] cut to the longest text of the batch; EOT is the largest id of a row."""
    return ids[:, : int(ids.argmax(1).max()) + 1]


def full_attention(
    clip: nn.Module, images: Tensor | None = None, ids: Tensor | None = None
) -> Tensor:
    """The whole head-averaged attention of the last layer [B, N, N], of images or of texts; to look at, not
    to train.
    """
    if images is not None:
        x = clip.visual.ln_pre(_image_embeddings(clip.visual, images))
        blocks, causal = clip.visual.transformer.resblocks, False
    else:
        x = clip.token_embedding(ids) + clip.positional_embedding[: ids.shape[1]]
        blocks, causal = clip.transformer.resblocks, True
    for block in blocks[:-1]:
        x, _ = _block(block, x, causal)
    q, k, _ = _heads(blocks[-1].attn, blocks[-1].ln_1(x))
    return _weights(q, k, causal).mean(1)


def _image_embeddings(visual: nn.Module, images: Tensor) -> Tensor:
    """Patches as one matrix product: on a CPU far faster, backward too, than the convolution it equals."""
    batch, channels, height, width = images.shape
    rows, columns = visual.patch_size
    if (height, width) != tuple(visual.image_size):
        raise ValueError(
            f"images of {height} x {width} pixels for an encoder of {tuple(visual.image_size)}"
        )
    patches = images.reshape(batch, channels, height // rows, rows, width // columns, columns)
    patches = (
        patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    )  # [B, patches, 3·rows·columns]
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
    """One pre-norm residual block; with `anchor` [B], also that token's head-averaged attention [B, N].

    With `keep`, of token 0 (the anchor) and the `keep` it attends to most alone.
    """
    q, k, v = _heads(block.attn, block.ln_1(x))
    row = None if anchor is None else _anchor_row(q, k, anchor, causal)
    if keep is not None and keep < x.shape[1] - 1:
        some = F.pad(
            row[:, 1:].topk(keep, dim=1).indices + 1, (1, 0)
        )  # [B, 1 + keep], token 0 first
        row, x = row.gather(1, some), x.gather(1, some[..., None].expand(-1, -1, x.shape[2]))
        q = q.gather(2, some[:, None, :, None].expand(-1, q.shape[1], -1, q.shape[3]))
    attended = _attend(q, k, v, causal).transpose(1, 2).flatten(2)
    x = x + block.attn.out_proj(attended)
    return x + _mlp(block.mlp, block.ln_2(x)), row


def _anchor_row(q: Tensor, k: Tensor, anchor: Tensor, causal: bool) -> Tensor:
    """The head-averaged attention [B, N] of the token at `anchor` [B]; without gradient."""
    row = q.detach()[torch.arange(len(q), device=q.device), :, anchor][
        :, :, None
    ]  # [B, heads, 1, width]
    logits = (row @ k.detach().transpose(-1, -2))[:, :, 0].float() * q.shape[-1] ** -0.5
    if causal:
        after = torch.arange(k.shape[2], device=k.device) > anchor[:, None]  # [B, N]
        logits = logits.masked_fill(after[:, None], -torch.inf)
    return logits.softmax(-1).mean(1)


def _heads(attn: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _split(_qkv(attn, x), attn.num_heads)


def _qkv(attn: nn.MultiheadAttention, x: Tensor) -> Tensor:
    return F.linear(x, attn.in_proj_weight, attn.in_proj_bias)


def _split(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    return (
        qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    )  # each [B, heads, N, width]


def _attend(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    # Measured on 2 cores, bf16: the fused kernel's backward takes 5 times as long as that of plain products,
    # and forward it is slower too where a whole row of weights fits into a few cache lines.
    if q.device.type == "cpu" and (torch.is_grad_enabled() or k.shape[2] <= FEW_TOKENS):
        return _weights(q, k, causal).to(v.dtype) @ v
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def _weights(q: Tensor, k: Tensor, causal: bool) -> Tensor:
    shape, scale = (*q.shape[:3], k.shape[2]), q.shape[-1] ** -0.5
    # Scaled, and masked where causal, within the one product.
    mask = q.new_zeros(1)
    if causal:
        mask = torch.full(shape[2:], -torch.inf, device=q.device, dtype=q.dtype).triu(1)
    logits = torch.baddbmm(mask, q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2), alpha=scale)
    # Summed in fp32, and out of bf16 four times as fast so on a CPU as within bf16.
    return logits.view(shape).softmax(-1, dtype=torch.float32)


def _mlp(mlp: nn.Sequential, x: Tensor) -> Tensor:
    """c_proj(act(c_fc(x))). QuickGELU, x·sigmoid(1.702·x), is silu(1.702·x) / 1.702: with both factors moved
    into the small weight matrices it is one fused pass over the activations instead of three.
    """
    if type(mlp.gelu).__name__ != "QuickGELU":
        return mlp(x)
    slope = 1.702
    x = F.silu(F.linear(x, mlp.c_fc.weight * slope, mlp.c_fc.bias * slope))
    return F.linear(x, mlp.c_proj.weight / slope, mlp.c_proj.bias)
