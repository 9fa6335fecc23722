"""Processes that share a run: how many there are, which of them writes, and what they exchange.

Whatever else knows of processes asks here. A process that was started alone, or has not met the
others yet, exchanges nothing: each function then returns its argument.
"""

import contextlib
import os
import warnings
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


def num_processes() -> int:
    """How many processes torchrun has started, or one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process writes the run's files; also before the processes have met."""
    return int(os.environ.get("RANK", "0")) == 0


def local_rank() -> int:
    """Number of this process on its machine, and so of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def join(device: torch.device) -> tuple[int, int]:
    """Meet the other processes, if there are any; this one's number, and how many they are."""
    if num_processes() == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return dist.get_rank(), dist.get_world_size()


def leave() -> None:
    """Part from them."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process among those that have met; 0 alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def add_up(values: Tensor) -> Tensor:
    """The sum of every process's values, in place."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def gather(value: T) -> list[T]:
    """Every process's value, in the order of their numbers: anything that can be pickled."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def gather_rows(rows: Tensor) -> Tensor:
    """Every process's rows in one tensor, without gradient: [n, ...] -> [n x processes, ...]."""
    if not dist.is_initialized():
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows)
    return torch.cat(parts)


class _Sum(torch.autograd.Function):
    """A sum over processes whose gradient is one too."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return add_up(x.clone())

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return add_up(gradients[0].clone())


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of every process's x, as part of a forward pass: its gradient crosses too."""
    if not dist.is_initialized():
        return x
    total: Tensor = _Sum.apply(x)
    return total / dist.get_world_size()


def share_gradients(module: nn.Module) -> nn.Module:
    """The module as the loop runs it: with the mean of every process's gradients."""
    if not dist.is_initialized():
        return module
    # Convolutions give channels-last gradients; copying them into buckets is cheap.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    return DistributedDataParallel(module)


def exchange(module: nn.Module, *, now: bool) -> contextlib.AbstractContextManager[None]:
    """A backward pass within it exchanges gradients only if it is to be `now`."""
    if isinstance(module, DistributedDataParallel) and not now:
        return module.no_sync()
    return contextlib.nullcontext()
