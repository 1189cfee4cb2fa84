"""Several processes that train one model: each takes its share of a batch, all take the same step.

In a single process every function here returns its argument unchanged. `accelerate launch` starts
the processes (see icl_lib.cli.launch). Sums and statistics are those of the whole batch, so any
number of processes makes the same model.
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
    """Joins the processes that `accelerate launch` has started; does nothing in a single process.

    The timeout is long because the first process may be busy for hours before training begins (RDA
    asks an MLLM about every training image).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        from accelerate import PartialState

        cpu = not torch.cuda.is_available()
        PartialState(cpu=cpu, backend="gloo" if cpu else "nccl", timeout=datetime.timedelta(days=7))


def end() -> None:
    """Ends all processes together; the last call of a launched process, which does not return.

    A process that exits while another still listens to it takes that one down, so all wait for all.
    They skip Python's shutdown: gloo's threads may hold tensors a moment longer, and freeing the
    last of them during the shutdown aborts the process (PyTorch pull request 179291).
    """
    if world() > 1:
        dist.barrier()
        dist.destroy_process_group()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def world() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0; process 0 alone writes files."""
    return dist.get_rank() if world() > 1 else 0


def from_first(value: Any) -> Any:
    """The value that process 0 has, in every process; all must call it."""
    if world() == 1:
        return value
    held = [value if rank() == 0 else None]
    dist.broadcast_object_list(held, src=0)
    return held[0]


def share(items: Sequence) -> Sequence:
    """This process's contiguous share of `items`; the shares of all processes make up the whole."""
    edges = np.linspace(0, len(items), world() + 1).round().astype(int)
    return items[edges[rank()] : edges[rank() + 1]]


def joined(part: np.ndarray) -> np.ndarray:
    """The rows of all processes, in the order of `share`."""
    if world() == 1:
        return part
    parts: list = [None] * world()
    dist.all_gather_object(parts, part)
    return np.concatenate(parts)


def gathered(value):
    """The rows [B, …] of all processes, in the order of `share`, with gradients to each of them.

    A loss of gathered rows is the whole batch's loss in every process: divide it by `world()`
    before the backward pass, and call `sum_gradients` after it.

    Args:
        value: a tensor, or dicts, lists and tuples of tensors.
    """
    if world() == 1:
        return value
    if isinstance(value, dict):
        return {name: gathered(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(gathered(part) for part in value)
    counts = torch.zeros(world(), dtype=torch.long, device=value.device)
    counts[rank()] = len(value)
    dist.all_reduce(counts)
    before = int(counts[: rank()].sum())
    whole = value.new_zeros(int(counts.sum()), *value.shape[1:])
    whole[before : before + len(value)] = value
    return _Sum.apply(whole)


def total(number: int) -> int:
    """The sum of all processes' numbers."""
    return number if world() == 1 else int(joined(np.array([number])).sum())


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces every gradient by its sum over the processes; a missing gradient counts as 0."""
    if world() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for pending in [dist.all_reduce(parameter.grad, async_op=True) for parameter in trained]:
        pending.wait()


def same_weights(model: nn.Module) -> None:
    """Copies the parameters and buffers of process 0 to every process."""
    if world() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def batch_norm(x: Tensor, bn: nn.BatchNorm1d) -> Tensor:
    """Applies `bn` to x [N, C] with the statistics of the rows of all processes.

    torch's SyncBatchNorm is for GPUs only. As in torch, the biased variance normalises in training
    and the unbiased one enters the running variance. A whole batch of one row has no variance and
    is normalised by the running statistics.
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
    centred = x - mean  # in a second pass, since the square of the mean would lose digits
    variance = _Sum.apply(centred.square().sum(0)) / count
    with torch.no_grad():
        bn.num_batches_tracked += 1
        bn.running_mean.lerp_(mean, bn.momentum)
        bn.running_var.lerp_(variance * count / (count - 1), bn.momentum)
    return centred * (variance + bn.eps).rsqrt() * bn.weight + bn.bias


class _Sum(torch.autograd.Function):
    """The sum of a tensor over the processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, tensor):
        whole = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx, grad):
        return _Sum.apply(grad)
