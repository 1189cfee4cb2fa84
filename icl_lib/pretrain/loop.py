"""The training loop of all pre-training stages, on a CPU or a GPU: schedule, log, resume."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from icl_lib.results import atomic_path, atomic_write, progress

LOG_EVERY = 50  # steps
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    model: nn.Module,
    loss_of: Callable[[int], tuple[torch.Tensor, dict[str, float]]],
    steps: int,
    lr: float,
    folder: Path,
    stage: str,
    check: Callable[[int], dict[str, float]] | None = None,
    weight_decay: float = 0.02,
    warmup: int = 100,
    save_every: int = 200,
) -> None:
    """Minimise a loss over the parameters of `model` that require a gradient.

    Matrices inside a transformer's blocks are trained with Muon, whose updates are scaled to the
    size of AdamW's, and everything else with AdamW; the gradient's norm is clipped at 1.
    `<folder>/<stage>.pt` keeps the state and `<folder>/<stage>.jsonl` the log; a second call
    resumes from there. Long because steps, log and state share the optimisers and the time so far.

    Args:
        model: the model to train, on DEVICE.
        loss_of: gives the loss of a step and numbers to log; its data must depend on the step only.
        steps: number of steps in all.
        lr: learning rate after the warm-up; it then falls along a cosine to 2%.
        folder: where state and log are kept.
        stage: name of the stage.
        check: called with the steps so far, after every tenth of them; gives numbers on held-out
            data, which are logged as they are.
        weight_decay: of all parameters with more than one dimension.
        warmup: steps of linear warm-up.
        save_every: steps between two saved states.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    optimisers = _optimisers(model, lr, weight_decay)

    def rate(s: int) -> float:
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, s / steps)))
        return min((s + 1) / warmup, 1) * cosine

    schedules = [torch.optim.lr_scheduler.LambdaLR(o, rate) for o in optimisers]
    kept = {"model": model, **{f"optimiser{i}": o for i, o in enumerate(optimisers)}}
    kept |= {f"schedule{i}": s for i, s in enumerate(schedules)}
    state, log = folder / f"{stage}.pt", folder / f"{stage}.jsonl"
    first, before = _resume(kept, state, log)
    start, sums = time.monotonic(), _Means()
    for step in progress(range(first, steps), stage, total=steps - first):
        with torch.autocast(DEVICE.type, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            loss, numbers = loss_of(step)
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
        sums.add({"loss": loss.item(), **numbers})
        done, last = step + 1, step + 1 == steps
        seconds = round(before + time.monotonic() - start, 1)
        if done % LOG_EVERY == 0 or last:
            row = {"stage": stage, "step": done, "seconds": seconds, **sums.taken()}
            if check and (done % max(LOG_EVERY, steps // 10) == 0 or last):
                with torch.autocast(DEVICE.type, torch.bfloat16):
                    row |= check(done)
            with log.open("a") as out:
                out.write(json.dumps(row) + "\n")
        if done % save_every == 0 or last:
            with atomic_path(state) as temp:
                parts = {name: part.state_dict() for name, part in kept.items()}
                torch.save({**parts, "step": done, "seconds": seconds}, temp)


def _optimisers(model: nn.Module, lr: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, if there are any, and AdamW for the rest."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    inner = [p for name, p in named if p.ndim == 2 and ("blocks." in name or ".layers." in name)]
    taken = {id(p) for p in inner}
    rest = [p for _, p in named if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    out: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)
    ]
    if inner:
        out.append(
            torch.optim.Muon(
                inner, lr=MUON * lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )
        )
    return out


MUON = 2.0  # Muon's learning rate as a multiple of AdamW's


def _resume(kept: dict, state: Path, log: Path) -> tuple[int, float]:
    """Load a saved state into `kept` and drop later lines of the log: (steps, seconds) so far."""
    state.parent.mkdir(parents=True, exist_ok=True)
    if not state.exists():
        log.unlink(missing_ok=True)
        return 0, 0.0
    saved = torch.load(state, map_location=DEVICE, weights_only=True)
    for name, part in kept.items():
        part.load_state_dict(saved[name])
    lines = log.read_text().splitlines(keepends=True)
    atomic_write(log, "".join(x for x in lines if json.loads(x)["step"] <= saved["step"]))
    return saved["step"], saved["seconds"]


class _Means:
    """Running means of named numbers since they were last taken."""

    def __init__(self):
        self.sums, self.count = {}, 0

    def add(self, numbers: dict[str, float]) -> None:
        self.count += 1
        for name, value in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)

    def taken(self) -> dict[str, float]:
        means = {name: round(total / self.count, 4) for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


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
