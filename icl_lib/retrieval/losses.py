"""Losses between a batch of texts and a batch of images: similarities and identities in, one loss a pair out.

Each takes `sim` [B, B], the cosines of text i (row) and image j (column), and `pids` [B], the identity of
pair i (that of text i and of image i). Element i of the result [B] adds text i against all images and image i
against all texts. Everything is computed in `sim`'s own precision, or in float32 if that is narrower.
"""

import difflib

import torch
import torch.nn.functional as F
from torch import Tensor


def tal(sim: Tensor, pids: Tensor, tau: float = 0.015, margin: float = 0.1) -> Tensor:
    """Triplet alignment loss of RDE [B]: [margin − Σ α·s⁺ + τ·log Σ_negatives exp(s/τ)]₊, both directions.

    α is the softmax of s/τ over the positives, without gradient. A row without negatives costs 0.
    """
    sim, same = _checked(sim, pids)

    def one_way(s: Tensor) -> Tensor:
        hardest, some = _soft_maximum(s, ~same, tau)
        return torch.where(some, (margin - _positive(s, same, tau) + hardest).clamp(min=0), 0.0)

    return one_way(sim) + one_way(sim.T)


def trl(sim: Tensor, pids: Tensor, tau: float = 0.02, margin: float = 0.2) -> Tensor:
    """Triplet ranking loss [B]: [margin − Σ α·s⁺ + max_negatives s]₊, both directions; α as in `tal`.

    A row without negatives costs 0.
    """
    sim, same = _checked(sim, pids)

    def one_way(s: Tensor) -> Tensor:
        some = (~same).any(1)
        hardest = s.masked_fill(same, torch.finfo(s.dtype).min).amax(1)
        return torch.where(some, (margin - _positive(s, same, tau) + hardest).clamp(min=0), 0.0)

    return one_way(sim) + one_way(sim.T)


def sdm(sim: Tensor, pids: Tensor, scale: float = 50.0, eps: float = 1e-8) -> Tensor:
    """Similarity distribution matching of IRRA [B]: KL(softmax(scale·s) ‖ same identity, shared evenly), both
    ways.

    `eps` is added to the true distribution inside the logarithm.
    """
    sim, same = _checked(sim, pids)
    truth = same.to(sim.dtype)
    truth = (truth / truth.sum(1, keepdim=True) + eps).log()

    def one_way(s: Tensor) -> Tensor:
        log_p = F.log_softmax(scale * s, dim=1)
        return (log_p.exp() * (log_p - truth)).sum(1)

    return one_way(sim) + one_way(sim.T)


def info_nce(sim: Tensor, pids: Tensor, scale: float = 50.0) -> Tensor:
    """Symmetric InfoNCE of CLIP [B]: mean of both directions' cross-entropy; only the pair itself is
    positive.

    `pids` is checked for its shape and otherwise unused.
    """
    sim, _ = _checked(sim, pids)
    return -sum(F.log_softmax(scale * s, dim=1).diagonal() for s in (sim, sim.T)) / 2


LOSSES = {"tal": tal, "trl": trl, "sdm": sdm, "info_nce": info_nce}


def get_loss(name: str):
    """The loss of that name; an unknown name raises ValueError with the nearest valid one."""
    if name not in LOSSES:
        close = difflib.get_close_matches(name, LOSSES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown loss {name!r}; losses are {', '.join(LOSSES)}.{hint}")
    return LOSSES[name]


def _checked(sim: Tensor, pids: Tensor) -> tuple[Tensor, Tensor]:
    if sim.ndim != 2 or sim.shape[0] != sim.shape[1] or pids.shape != sim.shape[:1]:
        shapes = f"{tuple(sim.shape)} and {tuple(pids.shape)}"
        raise ValueError(f"a loss wants sim [B, B] and pids [B], got {shapes}")
    pids = pids.to(sim.device)
    return sim.to(torch.promote_types(sim.dtype, torch.float32)), pids[:, None] == pids[None, :]


def _positive(s: Tensor, same: Tensor, tau: float) -> Tensor:
    # The diagonal is always positive, so no row of this softmax is empty.
    weight = (s.detach() / tau).masked_fill(~same, -torch.inf).softmax(1)
    return (weight * s).sum(1)


def _soft_maximum(s: Tensor, chosen: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """τ·logsumexp(s/τ) over the chosen of each row, and whether there are any.

    The gradient of a logsumexp over nothing but −inf is NaN, so such a row gets zeros, to be masked by the
    caller.
    """
    some = chosen.any(1)
    logits = (s / tau).masked_fill(~chosen & some[:, None], -torch.inf)
    return tau * logits.logsumexp(1), some
