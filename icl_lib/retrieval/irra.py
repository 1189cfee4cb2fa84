"""IRRA (CVPR 2023): plain CLIP at retrieval; in training also identity classification, and masked words told
from the picture by a cross-modal transformer.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icl_lib.retrieval.backbone import Backbone, at
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, trim
from icl_lib.retrieval.weights import Clip

UNMASKED = -100  # label of a position that masked language modelling does not ask about
HEAD_WIDTH = 64  # of attention, as in CLIP


def _attend(
    attn: nn.MultiheadAttention, asking: Tensor, asked: Tensor, hidden: Tensor | None = None
) -> Tensor:
    """Multi-head attention of `asking` [B, L, D] over `asked` [B, N, D], but not where `hidden` [B, N].

    Plain products: on a CPU their backward pass is several times as fast as the fused kernel's.
    """
    width = asking.shape[-1]
    q = F.linear(asking, attn.in_proj_weight[:width], attn.in_proj_bias[:width])
    kv = F.linear(asked, attn.in_proj_weight[width:], attn.in_proj_bias[width:])
    q = q.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2)  # [B, heads, L, D / heads]
    k, v = kv.unflatten(-1, (2, attn.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)  # [B, heads, L, N]
    if hidden is not None:
        logits = logits.masked_fill(hidden[:, None, None], -torch.inf)
    return attn.out_proj((logits.softmax(-1).to(v.dtype) @ v).transpose(1, 2).flatten(2))


class IRRA(Backbone):
    """IRRA's parts by their published names, so that its checkpoints load.

    `identities` [C] are the training identities that the classifier tells apart. At retrieval an item is its
    class or EOT token alone, as in `Backbone`.
    """

    method = "irra"

    def __init__(self, clip: Clip, identities: Sequence[int], layers: int = 4, **shared):
        from open_clip.transformer import QuickGELU, Transformer

        super().__init__(clip, **shared)
        if not len(identities):
            raise ValueError("IRRA classifies the training identities: there are none")
        width, words = self.clip.text_projection.shape[1], len(self.clip.token_embedding.weight)
        heads = next(n for n in range(max(1, width // HEAD_WIDTH), 0, -1) if width % n == 0)
        self.register_buffer("identities", torch.as_tensor(identities, dtype=torch.long).unique())
        self.classifier = nn.Linear(width, len(self.identities))
        self.cross_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.cross_modal_transformer = Transformer(width, layers, heads, act_layer=QuickGELU)
        self.ln_pre_t, self.ln_pre_i, self.ln_post = (nn.LayerNorm(width) for _ in range(3))
        self.mlm_head = nn.Sequential(
            OrderedDict(
                dense=nn.Linear(width, width),
                gelu=QuickGELU(),
                ln=nn.LayerNorm(width),
                fc=nn.Linear(width, words),
            )
        )
        self._initialise(width, layers)

    def forward(self, batch: dict) -> dict:
        """As `Backbone.forward`, with IRRA's own losses a pair as [B, 2] (sum, count) under "own".

        `batch` has also `pids` [B], and `mlm_ids`, `mlm_labels` [B, L] where words are to be told.
        """
        labels = self._classes(batch["pids"].to(self.device))
        tokens, _ = encode_image_tokens(self.clip, self._pixels(batch["pixels"]))
        size = len(tokens)
        kinds = [kind for kind in ("ids", "rda_ids", "mlm_ids") if kind in batch]
        ids = trim(torch.cat([batch[kind] for kind in kinds]).to(self.device))
        words, _ = encode_text_tokens(self.clip, ids)  # [texts · B, L, D]
        texts, own = [], []
        for kind, group, read in zip(kinds, words.split(size), ids.split(size)):
            if kind != "mlm_ids":
                anchor = at(group, read.argmax(1))
                texts.append({"bge": F.normalize(anchor.float(), dim=-1)})
                own.append({"id": self._identity_loss(tokens[:, 0], anchor, labels)})
        if "mlm_ids" in batch:
            wanted = batch["mlm_labels"].to(self.device)[:, : ids.shape[1]]
            own[0]["mlm"] = self._word_loss(words[-size:], ids[-size:], tokens, wanted)
        return {
            "images": {"bge": F.normalize(tokens[:, 0].float(), dim=-1)},
            "texts": texts,
            "own": own,
        }

    def cross(self, text: Tensor, image: Tensor, padding: Tensor) -> Tensor:
        """Words that have seen the picture [B, L, D]: text [B, L, D] asks image [B, N, D], then itself.

        padding [B, L], true behind a text's end: nothing looks there, so that a text does not depend on how
        long the others of its batch are.
        """
        x = _attend(self.cross_attn, self.ln_pre_t(text), self.ln_pre_i(image))
        for block in self.cross_modal_transformer.resblocks:
            y = block.ln_1(x)
            x = x + _attend(block.attn, y, y, padding)
            x = x + block.mlp(block.ln_2(x))
        return self.ln_post(x)

    def own_rate(self, name: str, settings) -> float | None:
        return None if name.startswith("clip.") else settings.lr * settings.irra.head_lr_factor

    def describe(self) -> dict:
        layers = len(self.cross_modal_transformer.resblocks)
        return super().describe() | {"identities": len(self.identities), "cross_layers": layers}

    def _classes(self, pids: Tensor) -> Tensor:
        place = torch.searchsorted(self.identities, pids).clamp(max=len(self.identities) - 1)
        if not torch.equal(self.identities[place], pids):
            raise ValueError(
                "a pair's identity is none of those that IRRA's classifier was made for"
            )
        return place

    def _identity_loss(self, image: Tensor, text: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the identity, mean of picture and text; [B, 2] (sum, count)."""
        loss = (
            sum(
                F.cross_entropy(self.classifier(x).float(), labels, reduction="none")
                for x in (image, text)
            )
            / 2
        )
        return torch.stack([loss, torch.ones_like(loss)], dim=1)

    def _word_loss(self, text: Tensor, ids: Tensor, image: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the masked words; [B, 2] (sum, count). Only these pass through the wide head."""
        padding = torch.arange(ids.shape[1], device=ids.device) > ids.argmax(1, keepdim=True)
        asked = labels != UNMASKED  # [B, L]
        logits = self.mlm_head(self.cross(text, image, padding)[asked]).float()  # [M, words]
        loss = F.cross_entropy(logits, labels[asked], reduction="none")
        row = asked.nonzero()[:, 0]
        sums = loss.new_zeros(len(ids)).index_add(0, row, loss)
        return torch.stack([sums, asked.sum(1).to(sums.dtype)], dim=1)

    def _initialise(self, width: int, layers: int) -> None:
        """Standard deviations of CLIP's own constructor, with this transformer's width and depth."""
        attention, into, out = width**-0.5, (2 * width) ** -0.5, width**-0.5 * (2 * layers) ** -0.5
        for attn in (
            self.cross_attn,
            *(block.attn for block in self.cross_modal_transformer.resblocks),
        ):
            nn.init.normal_(attn.in_proj_weight, std=attention)
            nn.init.normal_(attn.out_proj.weight, std=out)
        for block in self.cross_modal_transformer.resblocks:
            nn.init.normal_(block.mlp.c_fc.weight, std=into)
            nn.init.normal_(block.mlp.c_proj.weight, std=out)
        nn.init.normal_(self.mlm_head.dense.weight, std=into)
        nn.init.normal_(self.mlm_head.fc.weight, std=out)
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)
