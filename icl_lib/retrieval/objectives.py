"""The training objective: one number for a batch, and the matching loss of each pair."""

from collections.abc import Sequence

import torch
from torch import Tensor

from icl_lib.retrieval.losses import LOSSES


class Objective:
    """The matching loss named in the settings, plus the method's own losses.

    RDE: TAL summed over BGE and TSE. Plain CLIP: InfoNCE. IRRA: SDM + id_weight · identity
    classification + mlm_weight · masked language modelling. All are sums over the pairs of a batch.
    A pair that CCD calls noisy adds no loss of its own; it only serves as a negative of the others.

    Attributes:
        masked: share of a text's words to mask; 0 for every method but IRRA.
    """

    def __init__(self, settings):
        """Reads the loss and its weights from `settings`, which is params.backbone."""
        self.loss, self.options = LOSSES[settings.loss], {}
        if settings.loss == "tal":
            self.options = {"tau": settings.tau, "margin": settings.margin}
        self.weights, self.masked = {}, 0.0
        if settings.method == "irra":
            self.weights = {"id": settings.irra.id_weight, "mlm": settings.irra.mlm_weight}
            self.masked = settings.irra.mlm_share if settings.irra.mlm_weight else 0.0

    def __call__(self, outputs: dict, pids: Tensor, clean: Tensor, weight: float = 1.0) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            outputs: what `Backbone.forward` returns.
            pids: identities [B].
            clean: [B], 1 for pairs to trust and 0 for the others.
            weight: factor of the loss of the second (augmented) texts.
        """
        pids, clean = pids.to(clean.device), clean.float()
        loss = self.matching(outputs["images"], outputs["texts"], pids, clean, weight)
        for own, factor in zip(outputs["own"], (1.0, weight), strict=False):
            for name, sums in own.items():
                loss = loss + factor * self.weights[name] * _mean_per_pair(sums, clean)
        return loss

    def matching(
        self,
        images: dict[str, Tensor],
        texts: Sequence[dict[str, Tensor]],
        pids: Tensor,
        clean: Tensor,
        weight: float = 1.0,
    ) -> Tensor:
        """The matching loss of a batch, a scalar: Σ over texts, branches and clean pairs.

        Args:
            images: unit vectors {branch: [B, D]}.
            texts: the same of the captions and, if there are any, of the second texts.
            pids: identities [B].
            clean: [B], 1 for pairs to trust and 0 for the others.
            weight: factor of the second texts' loss.
        """
        loss = torch.zeros((), device=clean.device)
        for name, vectors in images.items():
            for text, factor in zip(texts, (1.0, weight), strict=False):
                loss = loss + factor * (clean * self.per_pair(text[name] @ vectors.T, pids)).sum()
        return loss

    def per_pair(self, sim: Tensor, pids: Tensor) -> Tensor:
        """The matching loss of each pair [B], from the cosines of one branch [B, B]."""
        return self.loss(sim, pids, **self.options)


def _mean_per_pair(sums: Tensor, clean: Tensor) -> Tensor:
    """B · (Σ over clean pairs of their loss) / (number of items in the batch), a scalar.

    `sums` [B, 2] holds each pair's summed loss and its number of items. The factor B gives this
    mean the same weight against the matching loss, a sum over pairs, that a mean has against a
    mean.
    """
    return len(sums) * (clean * sums[:, 0]).sum() / sums[:, 1].sum().clamp(min=1)
