"""`--dry-run`: the optimiser's groups, and a run's cost, measured on a few images."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich import box
from rich.table import Table
from torch import Tensor, nn

from fcmae.console import screen
from fcmae.console.units import duration
from fcmae.parallel.processes import is_first, num_processes
from fcmae.training.batching import Batching, load_steps
from fcmae.training.devices import Runtime, keep_freed_memory
from fcmae.training.engine import value_of
from fcmae.training.plan import Lines, Schedule
from fcmae.training.task import Task

IMAGES = 4  # to measure on
WHOLE = 16  # the same, where the loss compares images: few cost as much as many
STATE = 4  # times the weights: they, their gradients, and AdamW's two moments


@dataclass(frozen=True, slots=True)
class Cost:
    """What one image costs, and what the model does."""

    seconds: float  # forward and backward
    saved: int  # bytes that the backward pass needs
    state: int  # bytes of weights, gradients and optimiser
    images: int = IMAGES  # that this was measured on


def rehearse(task: Task, batching: Batching, layers: Mapping[str, int] | None = None) -> None:
    """Show the optimiser's groups, and what the run will cost: the last part of `--dry-run`.

    Args:
        task: of the run.
        batching: how its batches are divided.
        layers: the layer of each parameter, where layers have rates of their own.
    """
    if not is_first():
        return
    model, plan = task.trained, task.plan
    device = next(model.parameters()).device
    keep_freed_memory(device)  # as a run does: its steps are faster for it
    show_groups(task.groups, plan.learning_rate, layers)
    micro = batching.micro_batch_size
    number = min(WHOLE if batching.whole_batches else IMAGES, micro)
    alone = Runtime(device, plan.precision)
    first_step = load_steps(task, 0, 1, micro_batch_size=number, workers=0, runtime=alone)
    images, other = task.prepare(next(first_step))

    def loss(count: int) -> Tensor:
        return value_of(task.loss(model, images[:count], other[:count]))

    cost = measure(model, loss, device, number)
    screen.show_details(in_words(cost, plan, micro_batch_size=micro, processes=num_processes()))


def show_groups(
    groups: Sequence[Mapping[str, Any]], peak: float, layers: Mapping[str, int] | None = None
) -> None:
    """Print a row for each learning rate: its layer, and the parameters that decay or do not.

    Args:
        groups: as of `optim.parameter_groups`.
        peak: learning rate of a group of scale 1.
        layers: the layer of each parameter, where layers have rates of their own.
    """
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    names: dict[float, str] = {}
    for group in groups:
        scale = group.get("scale", 1.0)
        decays = group["weight_decay"] > 0
        counts[scale][not decays] += sum(parameter.numel() for parameter in group["params"])
        names[scale] = group["names"][0]
    table = Table(box=box.SIMPLE)
    for column in ("layer", "scale", "learning rate", "parameters that decay", "that do not"):
        table.add_column(column, justify="right")
    for scale, (decayed, spared) in sorted(counts.items()):
        layer = "all" if layers is None or len(counts) == 1 else str(layers[names[scale]])
        table.add_row(layer, f"{scale:.3g}", f"{peak * scale:.3g}", f"{decayed:,}", f"{spared:,}")
    screen.console.print(table)


def measure(
    model: nn.Module,
    loss: Callable[[int], Tensor],
    device: torch.device,
    images: int = IMAGES,
) -> Cost:
    """Run a few images forward and backward, twice: the first time compiles.

    Args:
        model: on the device.
        loss: of so many images.
        device: whose clock counts.
        images: so many.
    """
    parameters = {parameter.data_ptr() for parameter in model.parameters()}
    seconds, saved = 0.0, 0
    for _ in range(2):
        sizes: dict[int, int] = {}

        def note(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            storage = tensor.untyped_storage()
            if tensor.data_ptr() not in parameters:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        began = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            value = loss(images)
        saved = sum(sizes.values())
        value.backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - began
        model.zero_grad(set_to_none=True)
    state = sum(
        parameter.numel() * parameter.element_size() * (STATE if parameter.requires_grad else 1)
        for parameter in model.parameters()
    )
    return Cost(seconds / images, saved // images, state, images)


def in_words(cost: Cost, schedule: Schedule, *, micro_batch_size: int, processes: int) -> Lines:
    """Names and values, as the other details are."""
    images = schedule.steps * schedule.batch_size / processes
    batch = cost.saved * micro_batch_size
    return [
        (
            "memory",
            f"about {_gigabytes(cost.state + batch)} a device: {_gigabytes(cost.state)} for "
            f"weights, gradients and AdamW, {_gigabytes(batch)} for {micro_batch_size} images at "
            "a time",
        ),
        (
            "time",
            f"about {duration(images * cost.seconds)}, measured on {cost.images} images of the "
            "first step; reading them is not counted",
        ),
    ]


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.2g} GB"
