"""What a backbone is trained by: from its outputs for a batch to one number, and to one loss a pair."""

from collections.abc import Sequence

import torch
from torch import Tensor

from icl_lib.retrieval.losses import get_loss


def _mean_a_pair(sums: Tensor, clean: Tensor) -> Tensor:
    """B · Σ over believed pairs of their sum / the batch's count, of `sums` [B, 2] (sum, count) a pair.

    With every pair believed it is B times the mean over what is counted, so that it weighs against the
    matching loss, a sum over pairs, as the published mean does against the published mean.
    """
    return len(sums) * (clean * sums[:, 0]).sum() / sums[:, 1].sum().clamp(min=1)


class Objective:
    """The loss that `settings` (params.backbone) names, over every branch and text, and the method's own.

    RDE: Σ over BGE and TSE of TAL. Plain CLIP: InfoNCE. IRRA: SDM + id_weight · identity classification +
    mlm_weight · masked language modelling. Sums over the batch's pairs, in which a pair that is not believed
    (`clean` 0) has no part beyond being the others' negative.
    """

    def __init__(self, settings):
        self.name, self.loss = settings.loss, get_loss(settings.loss)
        self.options = (
            {"tau": settings.tau, "margin": settings.margin} if settings.loss == "tal" else {}
        )
        own = settings.method == "irra"
        self.weights = (
            {"id": settings.irra.id_weight, "mlm": settings.irra.mlm_weight} if own else {}
        )
        self.masked = (
            settings.irra.mlm_share if own and settings.irra.mlm_weight else 0.0
        )  # share of words

    def __call__(self, outputs: dict, pids: Tensor, clean: Tensor, weight: float = 1.0) -> Tensor:
        """The batch's loss, a scalar: that of the texts plus `weight` times that of the second texts.

        outputs: what `Backbone.forward` gives; pids [B]; clean [B], 1 for pairs that are believed, else 0.
        """
        pids, clean = pids.to(clean.device), clean.float()
        loss = self.matching(outputs["images"], outputs["texts"], pids, clean, weight)
        for own, factor in zip(outputs["own"], (1.0, weight)):
            for name, sums in own.items():
                loss = loss + factor * self.weights[name] * _mean_a_pair(sums, clean)
        return loss

    def matching(
        self,
        images: dict[str, Tensor],
        texts: Sequence[dict[str, Tensor]],
        pids: Tensor,
        clean: Tensor,
        weight: float = 1.0,
    ) -> Tensor:
        """Σ over branches and believed pairs of the loss, a scalar; second texts count `weight` times.

        images {branch: [B, D]}, unit vectors; texts: one such dict, and maybe a second text's; pids, clean
        [B]. All that is compared lies in the arguments: give the whole batch of all processes.
        """
        loss = torch.zeros((), device=clean.device)
        for name, vectors in images.items():
            for text, factor in zip(texts, (1.0, weight)):
                loss = loss + factor * (clean * self.per_pair(text[name] @ vectors.T, pids)).sum()
        return loss

    def per_pair(self, sim: Tensor, pids: Tensor) -> Tensor:
        """One branch's loss of every pair [B], from cosines [B, B] (text × image) and identities [B]."""
        return self.loss(sim, pids, **self.options)
