"""The retrieval model {f, g}: one unit vector an image, one a text, whose inner product is S.

A backbone has branches (RDE: BGE and TSE); each gives unit vectors, S is the mean of their cosines, and so
the inner product of the concatenation over √branches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icl_lib.retrieval.backbone import Backbone, at
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, trim
from icl_lib.retrieval.distributed import batch_norm
from icl_lib.retrieval.weights import Clip


class _Mlp(nn.Module):
    """Linear, BatchNorm, ReLU, linear. Released checkpoints hold a second BatchNorm that nothing uses."""

    def __init__(self, width: int, hidden: int, out: int):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, hidden), nn.Linear(hidden, out)])
        self.bns = nn.ModuleList([nn.BatchNorm1d(hidden)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[1](batch_norm(self.layers[0](x), self.bns[0]).relu())

    def _load_from_state_dict(self, state, prefix, *rest):
        for name in [name for name in state if name.startswith(f"{prefix}bns.1.")]:
            del state[name]
        super()._load_from_state_dict(state, prefix, *rest)


class TokenSelection(nn.Module):
    """RDE's token selection embedding (TSE): the most attended tokens, embedded and max-pooled.

    Kept are the `ratio` of the tokens that the class (EOT) token attends to most; they are L2-normalised,
    mapped by a linear layer plus a 2-layer MLP with BatchNorm to `embed_dim`, and max-pooled. State dicts of
    the released code load: its image head carries an unused `linear` beside the `fc` it applies; the applied
    one is taken.
    """

    def __init__(self, input_dim: int = 512, embed_dim: int = 1024, ratio: float = 0.3):
        super().__init__()
        self.ratio = ratio
        self.linear = nn.Linear(input_dim, embed_dim)
        self.mlp = _Mlp(input_dim, embed_dim // 2, embed_dim)

    def forward(
        self,
        tokens: Tensor,
        attention: Tensor,
        ids: Tensor | None = None,
        length: int | None = None,
    ) -> Tensor:
        """[B, embed_dim], not normalised.

        tokens [B, N, D] projected; attention [B, N], the class (EOT) token's row, or the whole [B, N, N]. For
        texts, ids [B, N] say which tokens are words: those between the first and EOT, the largest id.
        `length` is the number of tokens that the ratio refers to, N if None: give the context length when
        texts were trimmed, and all tokens of an image when only the most attended are here. A text without
        words is embedded by its EOT token.
        """
        position = torch.arange(tokens.shape[1], device=tokens.device)
        end = ids.argmax(1) if ids is not None else None  # [B]
        if attention.ndim == 3:
            row = (
                end
                if ids is not None
                else torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
            )
            attention = attention[torch.arange(len(tokens), device=tokens.device), row]
        length = length or tokens.shape[1]
        if ids is None:
            inner = (position > 0).expand(len(tokens), -1)
            count = int(self.ratio * (length - 1))
        else:
            inner = (position > 0) & (position < end[:, None])  # [B, N]
            inner = inner | ((position == end[:, None]) & (end[:, None] <= 1))
            count = int(self.ratio * (length - 2))
        count = min(max(count, 1), tokens.shape[1])
        score, chosen = attention.masked_fill(~inner, -torch.inf).topk(count, dim=1)  # [B, k]
        real = score > -torch.inf  # [B, k]: a short text has fewer than k words
        picked = tokens.gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2]))[real]  # [M, D]
        picked = F.normalize(picked.float(), dim=-1)
        # [M, E]: padding is not among the M, so it never enters BatchNorm's statistics.
        embedded = self.linear(picked) + self.mlp(picked)
        pooled = embedded.new_full((*real.shape, embedded.shape[1]), -torch.inf)
        pooled[real] = embedded
        return pooled.amax(1)

    def _load_from_state_dict(self, state, prefix, *rest):
        for kind in ("weight", "bias"):
            if f"{prefix}fc.{kind}" in state:
                state[f"{prefix}linear.{kind}"] = state.pop(f"{prefix}fc.{kind}")
        super()._load_from_state_dict(state, prefix, *rest)


class RDE(Backbone):
    """RDE (CVPR 2024): BGE, the class and EOT tokens, and TSE, the most attended; S is the mean cosine."""

    method = "rde"

    def __init__(
        self,
        clip: Clip,
        embed_dim: int = 1024,
        ratio: float = 0.3,
        frozen_batchnorm: bool = False,
        **shared,
    ):
        super().__init__(clip, **shared)
        width = self.clip.visual.proj.shape[1]
        self.tse_image = TokenSelection(width, embed_dim, ratio)
        self.tse_text = TokenSelection(width, embed_dim, ratio)
        self.frozen_batchnorm = frozen_batchnorm  # in training, as the released code leaves it

    def train(self, mode: bool = True):
        super().train(mode)
        if self.frozen_batchnorm:
            self.tse_image.eval()
            self.tse_text.eval()
        return self

    def own_rate(self, name: str, settings) -> float | None:
        return settings.tse_lr if name.startswith("tse_") else None

    def image_branches(self, pixels: Tensor) -> dict[str, Tensor]:
        length = len(self.clip.visual.positional_embedding)
        keep = max(1, int(self.tse_image.ratio * (length - 1)))  # what TSE selects
        tokens, attention = encode_image_tokens(self.clip, self._pixels(pixels), keep)
        return self._both(tokens[:, 0], self.tse_image, tokens, attention, None, length)

    def text_branches(self, ids: Tensor) -> dict[str, Tensor]:
        ids = trim(ids.to(self.device))
        tokens, attention = encode_text_tokens(self.clip, ids)
        anchor = at(tokens, ids.argmax(1))
        return self._both(anchor, self.tse_text, tokens, attention, ids, self.context_length)

    @property
    def widths(self) -> dict[str, int]:
        return super().widths | {"tse": self.tse_image.linear.out_features}

    def describe(self) -> dict:
        return super().describe() | {
            "embed_tse": self.widths["tse"],
            "select_ratio": self.tse_image.ratio,
        }

    def _both(self, anchor: Tensor, head: TokenSelection, *inputs) -> dict[str, Tensor]:
        # Small, and BatchNorm and max-pooling want precision.
        with torch.autocast(self.device.type, enabled=False):
            tse = head(inputs[0].float(), *inputs[1:])
        return {"bge": F.normalize(anchor.float(), dim=-1), "tse": F.normalize(tse, dim=-1)}
