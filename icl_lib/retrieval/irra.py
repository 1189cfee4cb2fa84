"""IRRA (CVPR 2023): plain CLIP at retrieval, with two more losses in training.

They are identity classification, and masked language modelling, in which a cross-modal transformer
predicts the masked words of a caption from its image.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icl_lib.retrieval.backbone import Backbone
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, token_at, trim
from icl_lib.retrieval.weights import Clip

UNMASKED = -100  # label of a position whose word is not masked
HEAD_WIDTH = 64  # dimensions of an attention head, as in CLIP


class IRRA(Backbone):
    """IRRA, its parts under their published names, so that its checkpoints load.

    At retrieval an item is its class or EOT token alone, as in `Backbone`. `identities` [C] are the
    training identities that the classifier tells apart, `layers` the depth of the cross-modal
    transformer.
    """

    method = "irra"

    def __init__(self, clip: Clip, identities: Sequence[int], layers: int = 4, **shared):
        from open_clip.transformer import QuickGELU, Transformer

        super().__init__(clip, **shared)
        if not len(identities):
            raise ValueError("IRRA classifies the training identities, but there are none")
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
        """As `Backbone.forward`, with IRRA's own losses `id` and `mlm` under "own".

        Args:
            batch: also `pids` [B] and, for masked language modelling, `mlm_ids` and `mlm_labels`
                [B, L].
        """
        labels = self._classes(batch["pids"].to(self.device))
        image, _ = encode_image_tokens(self.clip, self.normalised(batch["pixels"]))
        kinds = [kind for kind in ("ids", "rda_ids", "mlm_ids") if kind in batch]
        ids = trim(torch.cat([batch[kind] for kind in kinds]).to(self.device))
        words, _ = encode_text_tokens(self.clip, ids)  # [texts · B, L, D]
        texts, own = [], []
        for kind, tokens, own_ids in zip(
            kinds, words.split(len(image)), ids.split(len(image)), strict=True
        ):
            if kind == "mlm_ids":
                wanted = batch["mlm_labels"].to(self.device)[:, : ids.shape[1]]
                own[0]["mlm"] = self._word_loss(tokens, own_ids, image, wanted)
            else:
                anchor = token_at(tokens, own_ids.argmax(1))
                texts.append({"bge": F.normalize(anchor.float(), dim=-1)})
                own.append({"id": self._identity_loss(image[:, 0], anchor, labels)})
        images = {"bge": F.normalize(image[:, 0].float(), dim=-1)}
        return {"images": images, "texts": texts, "own": own}

    def cross(self, text: Tensor, image: Tensor, padding: Tensor) -> Tensor:
        """Words that have attended to the image, and then to each other [B, L, D].

        Args:
            text: tokens [B, L, D].
            image: tokens [B, N, D].
            padding: bool [B, L], true behind a text's end. Nothing attends there, so the result
                does not depend on the length of the other texts of the batch.
        """
        x = _attend(self.cross_attn, self.ln_pre_t(text), self.ln_pre_i(image))
        for block in self.cross_modal_transformer.resblocks:
            y = block.ln_1(x)
            x = x + _attend(block.attn, y, y, padding)
            x = x + block.mlp(block.ln_2(x))
        return self.ln_post(x)

    def own_rate(self, name: str, settings) -> float | None:
        """The rate lr · irra.head_lr_factor for everything but CLIP."""
        return None if name.startswith("clip.") else settings.lr * settings.irra.head_lr_factor

    def describe(self) -> dict:
        """The content of backbone.json."""
        layers = len(self.cross_modal_transformer.resblocks)
        return super().describe() | {"identities": len(self.identities), "cross_layers": layers}

    def _classes(self, pids: Tensor) -> Tensor:
        place = torch.searchsorted(self.identities, pids).clamp(max=len(self.identities) - 1)
        if not torch.equal(self.identities[place], pids):
            raise ValueError(
                "a training pair has an identity that IRRA's classifier does not know: create the "
                "model with the identities of this train split"
            )
        return place

    def _identity_loss(self, image: Tensor, text: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the identity, averaged over image and text; [B, 2] (sum, count)."""
        scores = [self.classifier(x).float() for x in (image, text)]
        loss = sum(F.cross_entropy(score, labels, reduction="none") for score in scores) / 2
        return torch.stack([loss, torch.ones_like(loss)], dim=1)

    def _word_loss(self, text: Tensor, ids: Tensor, image: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the masked words; [B, 2] (sum, count).

        Only the masked words pass through the wide output layer.
        """
        padding = torch.arange(ids.shape[1], device=ids.device) > ids.argmax(1, keepdim=True)
        masked = labels != UNMASKED  # [B, L]
        logits = self.mlm_head(self.cross(text, image, padding)[masked]).float()  # [M, words]
        loss = F.cross_entropy(logits, labels[masked], reduction="none")
        sums = loss.new_zeros(len(ids)).index_add(0, masked.nonzero()[:, 0], loss)
        return torch.stack([sums, masked.sum(1).to(sums.dtype)], dim=1)

    def _initialise(self, width: int, layers: int) -> None:
        """Random weights with the standard deviations of CLIP, for this width and depth."""
        blocks = self.cross_modal_transformer.resblocks
        attention, into, out = width**-0.5, (2 * width) ** -0.5, width**-0.5 * (2 * layers) ** -0.5
        for attn in (self.cross_attn, *(block.attn for block in blocks)):
            nn.init.normal_(attn.in_proj_weight, std=attention)
            nn.init.normal_(attn.out_proj.weight, std=out)
        for block in blocks:
            nn.init.normal_(block.mlp.c_fc.weight, std=into)
            nn.init.normal_(block.mlp.c_proj.weight, std=out)
        nn.init.normal_(self.mlm_head.dense.weight, std=into)
        nn.init.normal_(self.mlm_head.fc.weight, std=out)
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)


def _attend(
    attn: nn.MultiheadAttention, asking: Tensor, asked: Tensor, hidden: Tensor | None = None
) -> Tensor:
    """Multi-head attention of `asking` [B, L, D] to `asked` [B, N, D], not where `hidden` [B, N].

    Plain matrix products: on a CPU their backward pass is several times as fast as the fused
    kernel's.
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
