"""How batches are divided into micro-batches and processes; only rounding depends on it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from fcmae.commands.shared import Training
from fcmae.console.screen import say
from fcmae.images import Batch, Order, load
from fcmae.parallel.processes import is_first, num_processes
from fcmae.training.devices import Runtime, num_readers
from fcmae.training.task import Task


@dataclass(frozen=True, slots=True)
class Batching:
    """How one process computes its part of each batch."""

    local_batch_size: int  # images of a step in this process
    micro_batch_size: int  # images at a time
    whole_batches: bool  # whether the two must be equal: the loss compares images
    checkpoint_blocks: bool  # recompute them in the backward pass
    compile_blocks: bool
    workers: int
    seconds_between_checkpoints: float


def make_batching(
    options: Training,
    batch_size: int,
    device: torch.device,
    *,
    whole_batches: bool = False,
) -> Batching:
    """Divide batches among micro-batches and processes; only rounding depends on it.

    A loss that compares the images of a batch needs `whole_batches`: they are not divided.
    """
    processes = num_processes()
    if batch_size % processes:
        raise ValueError(
            f"batch size {batch_size} cannot be shared equally by {processes} processes"
        )
    micro, workers, minutes = options.micro_batch_size, options.workers, options.checkpoint_minutes
    if micro is not None and micro < 1:
        raise ValueError(f"micro_batch_size {micro}: at least 1 is needed")
    if workers is not None and workers < 0:
        raise ValueError(f"workers {workers}: 0 or more is needed; 0 reads in the same process")
    if not 0 <= minutes < math.inf:
        raise ValueError(f"checkpoint_minutes {minutes}: 0 or more is needed")
    if options.compile:
        check_compiler(device)
    local = batch_size // processes
    if whole_batches and micro is not None and micro < local:
        raise ValueError(
            f"micro_batch_size {micro}: the loss compares all {local} images of a step in a process"
            ", so that they are computed at once: leave it out; --checkpoint-blocks saves memory"
        )
    return Batching(
        local_batch_size=local,
        micro_batch_size=local if whole_batches else min(micro or 64, local),
        whole_batches=whole_batches,
        checkpoint_blocks=options.checkpoint_blocks,
        compile_blocks=options.compile,
        workers=num_readers(device) if workers is None else workers,
        seconds_between_checkpoints=60 * minutes,
    )


def load_steps(
    task: Task, start: int, stop: int, *, micro_batch_size: int, workers: int, runtime: Runtime
) -> Iterator[Batch[Any]]:
    """A process's micro-batches of the steps from `start` up to, not including, `stop`."""
    plan = task.plan
    return load(
        task.images,
        Order(len(task.images), plan.batch_size, plan.seed),
        view=task.view,
        channels=plan.in_channels,
        seed=plan.seed,
        start_step=start,
        stop_step=stop,
        rank=runtime.rank,
        world_size=runtime.processes,
        micro_batch_size=micro_batch_size,
        workers=workers,
        pin_memory=runtime.device.type == "cuda",
    )


def check_compiler(device: torch.device) -> None:
    """Refuse `--compile` where nothing can be compiled, before anything is done.

    It takes some seconds, up to a minute on a machine that never compiled.

    Raises:
        ValueError: with what PyTorch says is missing.
    """
    if is_first():
        say("compiling, which may take minutes until the first step is done")
    try:
        torch.compile(torch.nn.functional.gelu)(torch.zeros(16, device=device))
    except RuntimeError as error:  # no C++ compiler, no Triton, too old a GPU
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"compile: this machine cannot compile for {device.type} ({reason}): install what is "
            "missing, such as g++, or leave --compile out"
        ) from error
