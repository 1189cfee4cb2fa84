"""The training loop of all pre-training stages: cosine schedule, bf16 autocast, log, resume."""

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from icl_lib.results import progress


def train(
    model: nn.Module,
    loss_of: Callable[[int], tuple[torch.Tensor, dict]],
    steps: int,
    lr: float,
    folder: Path,
    stage: str,
    weight_decay: float = 0.02,
    warmup: int = 200,
    save_every: int = 500,
    decay: bool = True,
) -> None:
    """Minimise a loss over the parameters of `model` that require a gradient.

    The optimiser is AdamW with gradient norm clipped at 1. `<folder>/<stage>.pt` keeps the state
    and `<folder>/<stage>.csv` the log; a second call resumes from there. Long because the steps,
    the log and the saved state share the optimiser, its schedule and the time spent so far.

    Args:
        model: the model to train.
        loss_of: gives the loss of a step and numbers to log; its data must depend on the step only.
        steps: number of steps in all.
        lr: learning rate after the warm-up.
        folder: where state and log are kept.
        stage: name of the stage.
        weight_decay: of all parameters with more than one dimension.
        warmup: steps of linear warm-up.
        save_every: steps between two saved states.
        decay: decrease `lr` along a cosine to 2%; otherwise it stays constant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    decayed = [p for n, p in named if p.ndim > 1]
    rest = [p for n, p in named if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=lr,
        betas=(0.9, 0.98),
        fused=True,
    )

    def rate(s: int) -> float:
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, s / steps)))
        return min((s + 1) / warmup, 1) * (cosine if decay else 1)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    state, log = folder / f"{stage}.pt", folder / f"{stage}.csv"
    first, before = 0, 0.0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        first, before = saved["step"], saved["seconds"]
    start, sums, count = time.monotonic(), {}, 0
    for step in progress(range(first, steps), stage, total=steps - first):
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            loss, numbers = loss_of(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        optimiser.step()
        schedule.step()
        count += 1
        for name, value in {"loss": loss.item(), **numbers}.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            row = {
                "step": step + 1,
                "seconds": round(before + time.monotonic() - start, 1),
                **{n: round(v / count, 4) for n, v in sums.items()},
            }
            _append(log, row)
            sums, count = {}, 0
        if (step + 1) % save_every == 0 or step + 1 == steps:
            partial = state.with_suffix(".part")
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step + 1,
                    "seconds": before + time.monotonic() - start,
                },
                partial,
            )
            partial.replace(state)


def _append(path: Path, row: dict) -> None:
    new = not path.exists()
    with path.open("a", newline="") as f:
        writer = csv.DictWriter(f, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def batches(count: int, size: int, seed: int) -> Callable[[int], torch.Tensor]:
    """Give a function from a step to the indices of its batch; each epoch is a new permutation."""
    per_epoch = count // size
    cache = {}

    def at(step: int) -> torch.Tensor:
        epoch = step // per_epoch
        if epoch not in cache:
            cache.clear()
            cache[epoch] = torch.randperm(
                count, generator=torch.Generator().manual_seed(seed * 1000 + epoch)
            )
        i = step % per_epoch
        return cache[epoch][i * size : (i + 1) * size].sort().values

    return at
