"""Several processes that train one model: each takes its share of a batch, all take the same step.

Alone, every function here gives back what it was given. Processes are started by `accelerate launch` (see
`icl_lib.cli.launch`); sums and statistics are those of the whole batch, so that one process and many make the
same model.
"""

import datetime
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn


def start() -> None:
    """Joins the processes that `accelerate launch` has started; alone it does nothing.

    The first process may be busy for hours before all of them train (RDA asks an MLLM about every picture),
    so the others are patient.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        from accelerate import PartialState

        cpu = not torch.cuda.is_available()
        PartialState(cpu=cpu, backend="gloo" if cpu else "nccl", timeout=datetime.timedelta(days=7))


def end() -> None:
    """Leaves together, the last thing a launched process does: one of several processes does not come back.

    A process that is gone while another still listens to it takes that one down, so all wait for all. Then
    they leave without Python's own farewell: gloo's threads may hold tensors for a moment longer, and one that
    frees its last while the interpreter shuts down aborts the process (pytorch pull request 179291).
    """
    if world() > 1:
        dist.barrier()
        dist.destroy_process_group()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0; process 0 alone writes files."""
    return dist.get_rank() if world() > 1 else 0


def from_first(value: Any) -> Any:
    """What process 0 gave, in every process; all must call it."""
    if world() == 1:
        return value
    held = [value if rank() == 0 else None]
    dist.broadcast_object_list(held, src=0)
    return held[0]


def share(items: Sequence) -> Sequence:
    """This process's contiguous share of `items`; the shares of all, one after another, are all of them."""
    edges = np.linspace(0, len(items), world() + 1).round().astype(int)
    return items[edges[rank()] : edges[rank() + 1]]


def joined(part: np.ndarray) -> np.ndarray:
    """The rows of every process, in the order of `share`."""
    if world() == 1:
        return part
    parts: list = [None] * world()
    dist.all_gather_object(parts, part)
    return np.concatenate(parts)


def gathered(value):
    """The rows [B, …] of every process, in the order of `share`, with gradient to the process they came from.

    `value` is a tensor, or dicts, lists and tuples of tensors. A loss of gathered rows is the whole batch's
    in every process: divide it by `world()` before the backward pass, and `sum_gradients` after it.
    """
    if world() == 1:
        return value
    if isinstance(value, dict):
        return {name: gathered(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(gathered(part) for part in value)
    return _Gather.apply(value)


def total(number: int) -> int:
    """The sum of every process's number."""
    return number if world() == 1 else sum(joined(np.array([number])).tolist())


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Every gradient becomes its sum over the processes; of a parameter that one did not use, it is 0 there."""
    if world() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten().float() for parameter in trained])
    dist.all_reduce(flat)
    start = 0
    for parameter in trained:
        parameter.grad.copy_(flat[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()


def same_weights(model: nn.Module) -> None:
    """Process 0's parameters and buffers in every process."""
    if world() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def batch_norm(x: Tensor, bn: nn.BatchNorm1d) -> Tensor:
    """`bn` of x [N, C], its statistics over the rows of every process.

    torch's SyncBatchNorm is for GPUs only. In training, mean and biased variance normalise; the running
    variance takes the unbiased one, as torch does. A whole batch of one row, which has no variance, is
    normalised by the running statistics.
    """
    synced = world() > 1 and bn.training
    count = total(len(x)) if synced else len(x)
    if count <= 1:
        return nn.functional.batch_norm(
            x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps
        )
    if not synced:
        return bn(x)
    mean = _Sum.apply(x.sum(0)) / count
    centred = x - mean  # a second pass over the data: the square of the mean would cancel digits
    variance = _Sum.apply(centred.square().sum(0)) / count
    with torch.no_grad():
        bn.num_batches_tracked += 1
        bn.running_mean.lerp_(mean, bn.momentum)
        bn.running_var.lerp_(variance * count / (count - 1), bn.momentum)
    return centred * (variance + bn.eps).rsqrt() * bn.weight + bn.bias


def _reduced(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().clone()
    dist.all_reduce(tensor)
    return tensor


class _Sum(torch.autograd.Function):
    """The sum over processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, tensor):
        return _reduced(tensor)

    @staticmethod
    def backward(ctx, grad):
        return _reduced(grad)


class _Gather(torch.autograd.Function):
    """All rows of all processes, which may have different numbers of them."""

    @staticmethod
    def forward(ctx, tensor):
        counts = torch.zeros(world(), dtype=torch.long, device=tensor.device)
        counts[rank()] = len(tensor)
        dist.all_reduce(counts)
        counts = counts.tolist()
        padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        ctx.start, ctx.rows = sum(counts[: rank()]), len(tensor)
        return torch.cat([part[:count] for part, count in zip(parts, counts)])

    @staticmethod
    def backward(ctx, grad):
        return _reduced(grad)[ctx.start : ctx.start + ctx.rows]
