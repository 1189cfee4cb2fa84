"""The released code's way of computing vectors and metrics, written anew from its description."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icl_lib.retrieval.backbone import uses_bf16
from icl_lib.retrieval.clip import encode_text_tokens, token_at, trim
from icl_lib.retrieval.metrics import NAMES
from icl_lib.retrieval.models import RDE


@dataclass(frozen=True)
class Way:
    """One way of doing the same work; the defaults are the released code's, each field a saving.

    Attributes:
        once: Encode each picture and caption once. Otherwise an evaluation encodes pictures twice
            (for BGE and for TSE) and captions three times, and CCD encodes a picture again for each
            of its captions.
        attention: Where head-averaged attention weights are computed: in "every" layer, so that
            none can use a fused kernel; in the "last" layer only; or, by the kit's own encoder,
            only the one "row" of the last layer that TSE reads, and then only the picture tokens
            that TSE selects.
        trimmed: Cut captions after their last word instead of padding all to the context length.
        counted: Count the ranks of the correct pictures instead of sorting the whole gallery.
        precision: "fp32" or "bf16".
    """

    once: bool = False
    attention: str = "every"
    trimmed: bool = False
    counted: bool = False
    precision: str = "fp32"


RELEASED = Way()
KIT = Way(once=True, attention="row", trimmed=True, counted=True)
KIT_BF16 = replace(KIT, precision="bf16")
WAYS = {"released": RELEASED, "kit": KIT, "kit, bf16": KIT_BF16}


def available(ways: dict[str, Way]) -> dict[str, Way]:
    """The given ways, without those in bf16 where the machine is not faster in it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fast = uses_bf16("auto", device)
    return {name: way for name, way in ways.items() if fast or way.precision == "fp32"}


def in_way(model: RDE, way: Way) -> RDE:
    """A view of `model`, with the same weights, that encodes in this way.

    `once` and `counted` are left to the caller, since they concern what is done with the vectors.
    """
    view = copy.copy(model)
    view.precision = way.precision
    if way.attention != "row":
        view.image_branches = partial(_image_branches, model, way)
    if way.attention != "row" or not way.trimmed:
        view.text_branches = partial(_text_branches, model, way)
    return view


def sorted_metrics(
    sim: np.ndarray, query_pids: np.ndarray, gallery_pids: np.ndarray
) -> dict[str, float]:
    """`retrieval_metrics`, computed by sorting the whole gallery for all queries at once."""
    order = torch.from_numpy(sim).argsort(dim=1, descending=True, stable=True)
    hits = torch.tensor(gallery_pids)[order] == torch.tensor(query_pids)[:, None]  # [Q, G]
    found, count = hits.cumsum(1), hits.sum(1).clamp(min=1)
    rank = torch.arange(1, sim.shape[1] + 1)
    last = (hits * rank).amax(1).clamp(min=1)
    values = [hits[:, :k].any(1).double().mean() for k in (1, 5, 10)]
    values.append(((found / rank.double() * hits).sum(1) / count).mean())
    values.append((hits.sum(1) / last.double()).mean())
    return {name: 100 * float(value) for name, value in zip(NAMES, values, strict=True)}


def _image_branches(model: RDE, way: Way, pixels: Tensor) -> dict[str, Tensor]:
    """Unit vectors {branch: [B, D]} of uint8 pixels [B, 3, H, W]."""
    visual = model.clip.visual
    patches = visual.conv1(model.normalised(pixels)).flatten(2).mT  # [B, patches, width]
    first = visual.class_embedding.expand(len(patches), 1, -1)
    x = visual.ln_pre(torch.cat([first, patches], 1) + visual.positional_embedding)
    x, attention = _transform(visual.transformer.resblocks, x, None, way)
    tokens = visual.ln_post(x) @ visual.proj
    return _both(tokens[:, 0], model.tse_image(tokens, attention[:, 0]))


def _text_branches(model: RDE, way: Way, ids: Tensor) -> dict[str, Tensor]:
    """Unit vectors {branch: [B, D]} of captions' token ids [B, L]."""
    clip, ids = model.clip, ids.to(model.device)
    if way.trimmed:
        ids = trim(ids)
    if way.attention == "row":
        tokens, attention = encode_text_tokens(clip, ids)
    else:
        x = clip.token_embedding(ids) + clip.positional_embedding[: ids.shape[1]]
        later = torch.full((ids.shape[1],) * 2, -torch.inf, device=ids.device).triu(1)
        x, attention = _transform(clip.transformer.resblocks, x, later, way)
        tokens = clip.ln_final(x) @ clip.text_projection
    tse = model.tse_text(tokens, attention, ids, model.context_length)
    return _both(token_at(tokens, ids.argmax(1)), tse)


def _transform(
    blocks: Sequence[nn.Module], x: Tensor, mask: Tensor | None, way: Way
) -> tuple[Tensor, Tensor]:
    """Residual blocks with torch's attention module; also the last's mean weights [B, N, N]."""
    for block in blocks:
        wanted = way.attention == "every" or block is blocks[-1]
        y = block.ln_1(x)
        attended, weights = block.attn(y, y, y, need_weights=wanted, attn_mask=mask)
        x = x + attended
        x = x + block.mlp(block.ln_2(x))
    return x, weights.detach()


def _both(bge: Tensor, tse: Tensor) -> dict[str, Tensor]:
    return {"bge": F.normalize(bge.float(), dim=-1), "tse": F.normalize(tse, dim=-1)}
