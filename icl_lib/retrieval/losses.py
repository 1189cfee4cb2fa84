"""Matching losses between a batch of texts and a batch of images, one value per training pair.

Each loss takes `sim` [B, B], the cosine of text i (row) and image j (column), and `pids` [B], the
identity of pair i (of its text and its image). Element i of the result [B] adds two directions:
text i against all images, and image i against all texts. The computation runs in the precision of
`sim`, or in float32 if that is narrower. Every loss raises ValueError for shapes that do not fit.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def tal(sim: Tensor, pids: Tensor, tau: float = 0.015, margin: float = 0.1) -> Tensor:
    """Triplet alignment loss of RDE [B]: [margin − Σ α·s⁺ + τ·log Σ exp(s⁻/τ)]₊, both directions.

    s⁺ are the similarities of the same identity, s⁻ those of the others; α is the softmax of s⁺/τ,
    without gradient. A row without negatives costs 0.
    """

    def hardest(s: Tensor, negative: Tensor) -> Tensor:
        # The gradient of a logsumexp over nothing but −inf is NaN, so a row without negatives keeps
        # its values here; `_triplet` replaces its loss by 0.
        hidden = ~negative & negative.any(1)[:, None]
        return tau * (s / tau).masked_fill(hidden, -torch.inf).logsumexp(1)

    return _triplet(sim, pids, tau, margin, hardest)


def trl(sim: Tensor, pids: Tensor, tau: float = 0.02, margin: float = 0.2) -> Tensor:
    """Triplet ranking loss [B]: [margin − Σ α·s⁺ + max s⁻]₊, both directions; α as in `tal`.

    A row without negatives costs 0.
    """

    def hardest(s: Tensor, negative: Tensor) -> Tensor:
        return s.masked_fill(~negative, torch.finfo(s.dtype).min).amax(1)

    return _triplet(sim, pids, tau, margin, hardest)


def sdm(sim: Tensor, pids: Tensor, scale: float = 50.0, eps: float = 1e-8) -> Tensor:
    """Similarity distribution matching of IRRA [B]: KL(p ‖ q) in both directions.

    p is the softmax of scale·s; q is spread evenly over the pairs of the same identity, plus `eps`.
    """
    sim, same = _checked(sim, pids)
    truth = same.to(sim.dtype)
    truth = (truth / truth.sum(1, keepdim=True) + eps).log()

    def one_way(s: Tensor) -> Tensor:
        log_p = F.log_softmax(scale * s, dim=1)
        return (log_p.exp() * (log_p - truth)).sum(1)

    return one_way(sim) + one_way(sim.T)


def info_nce(sim: Tensor, pids: Tensor, scale: float = 50.0) -> Tensor:
    """Symmetric InfoNCE of CLIP [B]: the mean cross-entropy of both directions.

    Only the pair itself is positive; `pids` is checked for its shape and otherwise unused.
    """
    sim, _ = _checked(sim, pids)
    return -sum(F.log_softmax(scale * s, dim=1).diagonal() for s in (sim, sim.T)) / 2


LOSSES = {"tal": tal, "trl": trl, "sdm": sdm, "info_nce": info_nce}


def _checked(sim: Tensor, pids: Tensor) -> tuple[Tensor, Tensor]:
    """`sim` in at least float32, and whether pairs i and j share their identity, bool [B, B]."""
    if sim.ndim != 2 or sim.shape[0] != sim.shape[1] or pids.shape != sim.shape[:1]:
        raise ValueError(
            f"a loss needs sim [B, B] and pids [B], but got {tuple(sim.shape)} and "
            f"{tuple(pids.shape)}"
        )
    pids = pids.to(sim.device)
    return sim.to(torch.promote_types(sim.dtype, torch.float32)), pids[:, None] == pids[None, :]


def _triplet(
    sim: Tensor, pids: Tensor, tau: float, margin: float, hardest: Callable[..., Tensor]
) -> Tensor:
    """[margin − Σ α·s⁺ + hardest(s, negatives)]₊ in both directions [B]."""
    sim, same = _checked(sim, pids)

    def one_way(s: Tensor) -> Tensor:
        # The diagonal is always positive, so no row of this softmax is empty.
        alpha = (s.detach() / tau).masked_fill(~same, -torch.inf).softmax(1)
        loss = (margin - (alpha * s).sum(1) + hardest(s, ~same)).clamp(min=0)
        return torch.where((~same).any(1), loss, 0.0)

    return one_way(sim) + one_way(sim.T)
