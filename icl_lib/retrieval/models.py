"""RDE: CLIP's class and EOT tokens (BGE) and its token selection embedding (TSE)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icl_lib.retrieval.backbone import Backbone
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, token_at, trim
from icl_lib.retrieval.distributed import batch_norm
from icl_lib.retrieval.weights import Clip


class TokenSelection(nn.Module):
    """RDE's token selection embedding (TSE): the most attended tokens, embedded and max-pooled.

    The share `ratio` of the tokens that the class (EOT) token attends to most is L2-normalised,
    mapped to `embed_dim` by a linear layer plus a two-layer MLP with BatchNorm, and max-pooled.
    State dicts of the released code load. Its image head holds a `linear` that it never uses beside
    the `fc` that it applies; `fc` is loaded.
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
        """The embedding [B, embed_dim], not normalised.

        Args:
            tokens: projected tokens [B, N, D].
            attention: the class (EOT) token's row [B, N], or the whole [B, N, N].
            ids: token ids [B, N] of texts, None for images. The tokens between the first and EOT,
                the largest id, are selected from; without words, EOT itself is taken.
            length: number of tokens that `ratio` refers to, by default N. Give the context length
                for trimmed texts, and the full number of tokens for images of which only the most
                attended are given.
        """
        position = torch.arange(tokens.shape[1], device=tokens.device)
        length = length or tokens.shape[1]
        if ids is None:
            anchor = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
            inner = (position > 0).expand(len(tokens), -1)  # [B, N]
            count = int(self.ratio * (length - 1))
        else:
            anchor = ids.argmax(1)  # [B]
            end = anchor[:, None]
            inner = ((position > 0) & (position < end)) | ((position == end) & (end <= 1))
            count = int(self.ratio * (length - 2))
        if attention.ndim == 3:
            attention = token_at(attention, anchor)
        count = min(max(count, 1), tokens.shape[1])
        score, chosen = attention.masked_fill(~inner, -torch.inf).topk(count, dim=1)  # [B, k]
        real = score > -torch.inf  # [B, k]: a short text has fewer than k words
        picked = tokens.gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2]))[real]  # [M, D]
        picked = F.normalize(picked.float(), dim=-1)
        # Padding is not among the M tokens, so it never enters BatchNorm's statistics.
        embedded = self.linear(picked) + self.mlp(picked)  # [M, E]
        pooled = embedded.new_full((*real.shape, embedded.shape[1]), -torch.inf)
        pooled[real] = embedded
        return pooled.amax(1)

    def _load_from_state_dict(self, state, prefix, *rest):
        for kind in ("weight", "bias"):
            if f"{prefix}fc.{kind}" in state:
                state[f"{prefix}linear.{kind}"] = state.pop(f"{prefix}fc.{kind}")
        super()._load_from_state_dict(state, prefix, *rest)


class _Mlp(nn.Module):
    """Linear, BatchNorm, ReLU, linear. Released checkpoints hold a second BatchNorm, never used."""

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


class RDE(Backbone):
    """RDE (CVPR 2024): branches `bge`, the class or EOT token, and `tse`, see `TokenSelection`.

    Attributes:
        frozen_batchnorm: keep TSE's BatchNorm in evaluation mode during training, as the released
            code does.
    """

    method = "rde"

    def __init__(self, clip: Clip, embed_dim: int = 1024, ratio: float = 0.3, **shared):
        super().__init__(clip, **shared)
        width = self.clip.visual.proj.shape[1]
        self.tse_image = TokenSelection(width, embed_dim, ratio)
        self.tse_text = TokenSelection(width, embed_dim, ratio)
        self.frozen_batchnorm = False

    def train(self, mode: bool = True) -> "RDE":
        """Sets training or evaluation mode, as every module's `train`."""
        super().train(mode)
        if self.frozen_batchnorm:
            self.tse_image.eval()
            self.tse_text.eval()
        return self

    def own_rate(self, name: str, settings) -> float | None:
        """The rate tse_lr for the parameters of TSE."""
        return settings.tse_lr if name.startswith("tse_") else None

    def image_branches(self, pixels: Tensor) -> dict[str, Tensor]:
        """Unit vectors {branch: [B, D]} in float32 of pixels [B, 3, H, W], uint8 or normalised."""
        length = len(self.clip.visual.positional_embedding)
        keep = max(1, int(self.tse_image.ratio * (length - 1)))  # what TSE selects
        tokens, attention = encode_image_tokens(self.clip, self.normalised(pixels), keep)
        return self._both(tokens[:, 0], self.tse_image, tokens, attention, None, length)

    def text_branches(self, ids: Tensor) -> dict[str, Tensor]:
        """Unit vectors {branch: [B, D]} in float32 of token ids [B, L]."""
        ids = trim(ids.to(self.device))
        tokens, attention = encode_text_tokens(self.clip, ids)
        anchor = token_at(tokens, ids.argmax(1))
        return self._both(anchor, self.tse_text, tokens, attention, ids, self.context_length)

    @property
    def widths(self) -> dict[str, int]:
        """The dimensions of each branch's vectors."""
        return super().widths | {"tse": self.tse_image.linear.out_features}

    def describe(self) -> dict:
        """The content of backbone.json."""
        sizes = {"embed_tse": self.widths["tse"], "select_ratio": self.tse_image.ratio}
        return super().describe() | sizes

    def _both(
        self, anchor: Tensor, head: TokenSelection, tokens: Tensor, *rest
    ) -> dict[str, Tensor]:
        # The head is small, and BatchNorm and max-pooling need the precision of float32.
        with torch.autocast(self.device.type, enabled=False):
            tse = head(tokens.float(), *rest)
        return {"bge": F.normalize(anchor.float(), dim=-1), "tse": F.normalize(tse, dim=-1)}
