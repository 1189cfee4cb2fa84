"""The released code's way of computing vectors and metrics, for comparison."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from icl_lib.retrieval.clip import encode_text_tokens, trim
from icl_lib.retrieval.metrics import NAMES
from icl_lib.retrieval.models import RDE


@dataclass(frozen=True)
class Way:
    """One way to do the same work; the defaults are the released code's, every field is one saving.

    once: each picture and caption is encoded once. Else pictures are encoded once for BGE and once for TSE,
    captions three times, and CCD encodes the picture of every caption again. attention: "every" layer gives
    head-averaged weights, so none can be fused; only the "last" does; or "row", the kit's encoder, which
    forms no more than the one row that TSE reads, and of the last layer's pictures' tokens only those that it
    selects. trimmed: captions end at their last word instead of after
    all positions. counted: ranks are counted, not sorted out of the whole gallery.
    """

    once: bool = False
    attention: str = "every"
    trimmed: bool = False
    counted: bool = False
    precision: str = "fp32"


RELEASED = Way()
KIT = Way(True, "row", True, True)


def image_branches(model: RDE, pixels: Tensor, way: Way) -> dict[str, Tensor]:
    """Unit vectors {branch: [B, D]} of pictures, their attention computed in this way."""
    if way.attention == "row":
        return model.image_branches(pixels)
    visual, pixels = model.clip.visual, model.normalised(pixels)
    patches = visual.conv1(pixels).flatten(2).mT  # [B, patches, width]
    first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    x = visual.ln_pre(torch.cat([first, patches], 1) + visual.positional_embedding)
    x, attention = _layers(visual.transformer.resblocks, x, None, way)
    tokens = visual.ln_post(x) @ visual.proj
    return _branches(model, model.tse_image, tokens[:, 0], tokens, attention[:, 0])


def text_branches(model: RDE, ids: Tensor, way: Way) -> dict[str, Tensor]:
    """Unit vectors {branch: [B, D]} of captions' ids [B, L], cut to the longest or not."""
    ids = ids.to(model.device)
    ids = trim(ids) if way.trimmed else ids
    row, end = torch.arange(len(ids), device=ids.device), ids.argmax(1)
    if way.attention == "row":
        tokens, attention = encode_text_tokens(model.clip, ids)
    else:
        clip = model.clip
        x = clip.token_embedding(ids) + clip.positional_embedding[: ids.shape[1]]
        later = torch.full((ids.shape[1],) * 2, -torch.inf, device=ids.device).triu(1)
        x, attention = _layers(clip.transformer.resblocks, x, later, way)
        tokens, attention = clip.ln_final(x) @ clip.text_projection, attention[row, end]
    return _branches(
        model, model.tse_text, tokens[row, end], tokens, attention, ids, model.context_length
    )


def encode(
    model: RDE, batches: Iterable[Tensor], branches: Callable, way: Way
) -> dict[str, np.ndarray]:
    """`branches` of all batches {branch: [N, D]}, in the way's precision, on the model's device."""
    was_training, was_precision = model.training, model.precision
    model.eval()
    model.precision = way.precision
    with torch.inference_mode(), model.autocast():
        out = [
            {name: v.cpu() for name, v in branches(model, batch, way).items()} for batch in batches
        ]
    model.train(was_training)
    model.precision = was_precision
    return {name: torch.cat([part[name] for part in out]).numpy() for name in out[0]}


def sorted_metrics(
    sim: np.ndarray, query_pids: np.ndarray, gallery_pids: np.ndarray
) -> dict[str, float]:
    """`retrieval_metrics` by sorting the whole gallery of every query, all queries at once."""
    order = torch.from_numpy(sim).argsort(dim=1, descending=True, stable=True)
    hits = torch.tensor(gallery_pids)[order] == torch.tensor(query_pids)[:, None]  # [Q, G]
    found, count = hits.cumsum(1), hits.sum(1).clamp(min=1)
    rank = torch.arange(1, sim.shape[1] + 1)
    last = (hits * rank).amax(1).clamp(min=1)
    values = [(found[:, min(k, sim.shape[1]) - 1] > 0).double().mean() for k in (1, 5, 10)]
    values += [
        ((found / rank.double() * hits).sum(1) / count).mean(),
        (hits.sum(1) / last.double()).mean(),
    ]
    return {name: 100 * float(value) for name, value in zip(NAMES, values)}


def _layers(blocks, x: Tensor, mask: Tensor | None, way: Way) -> tuple[Tensor, Tensor]:
    """Pre-norm blocks by torch's own attention module; the last one's averaged weights [B, N, N]."""
    for place, block in enumerate(blocks, 1):
        wanted, y = way.attention == "every" or place == len(blocks), block.ln_1(x)
        attended, weights = block.attn(y, y, y, need_weights=wanted, attn_mask=mask)
        x = x + attended
        x = x + block.mlp(block.ln_2(x))
    return x, weights


def _branches(
    model: RDE, head, anchor: Tensor, tokens: Tensor, attention: Tensor, *more
) -> dict[str, Tensor]:
    with torch.autocast(model.device.type, enabled=False):
        tse = head(tokens.float(), attention.detach().float(), *more)
    return {"bge": F.normalize(anchor.float(), dim=-1), "tse": F.normalize(tse, dim=-1)}
