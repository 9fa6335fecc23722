"""Where a setting can be found in a task that was built: rates, groups, views, batches.

A check sees what a setting does, as far as it can: it asks the view for pictures, not for its
fields. It must hold for the task with the setting, and for no task without it.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from wiring import plain

from fcmae.images import Batch, Classified, Decoded, Labelled, Unlabelled
from fcmae.training.trainer import make_optimizer

SEEDS = range(40)  # of views, where what is seen is a matter of chance

# Of tasks whose length is given in steps: tests/training/test_other_task.py.
IN_ITERATIONS = {"iterations", "iterations_per_measurement"}


@dataclasses.dataclass(frozen=True)
class Check:
    """A value that is no default, and what it does.

    Attributes:
        value: of the field, as a user writes it, or of the option.
        seen: whether it is found in a task.
        beside: other fields of the recipe that it needs to be seen, as field=value.
        options: other options, likewise.
    """

    value: Any
    seen: Callable[[Any], bool]
    beside: tuple[str, ...] = ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def field_is_seen(build: Callable[..., Any], name: str, check: Check) -> None:
    """A field of the recipe does what it says, and without it nothing does."""
    assignments = (*check.beside, f"{name}={check.value}")
    assert check.seen(build(**check.options, set=assignments)), f"{name}: not seen"
    assert not check.seen(build(**check.options, set=check.beside)), f"{name}: seen without it"


def option_is_seen(build: Callable[..., Any], name: str, check: Check) -> None:
    """The same of an option."""
    changed = {**check.options, name: check.value}
    assert check.seen(build(**changed, set=check.beside)), f"{name}: not seen"
    assert not check.seen(build(**check.options, set=check.beside)), f"{name}: seen without it"


def names_of(kind: type) -> set[str]:
    """The fields of a recipe or a plan."""
    return {field.name for field in dataclasses.fields(kind)}


# The optimiser


def rates(task: Any) -> list[float]:
    """The learning rate of each step, and that of the step after the last."""
    return [task.plan.learning_rate_at(step) for step in range(task.plan.steps + 1)]


def peak(task: Any) -> float:
    """The largest of them."""
    return max(rates(task))


def optimizer_of(task: Any) -> torch.optim.Optimizer:
    """As a run makes it."""
    return make_optimizer(task, task.runtime.device)


def groups_of(task: Any) -> dict[str, dict[str, Any]]:
    """The optimiser's group of each parameter that it trains."""
    names = {id(parameter): name for name, parameter in task.trained.named_parameters()}
    groups = optimizer_of(task).param_groups
    return {names[id(each)]: group for group in groups for each in group["params"]}


def decays(task: Any) -> dict[str, float]:
    """The weight decay of each parameter."""
    return {name: group["weight_decay"] for name, group in groups_of(task).items()}


def betas(task: Any) -> set[tuple[float, float]]:
    """The optimiser's momenta."""
    return {group["betas"] for group in optimizer_of(task).param_groups}


def scales(task: Any) -> dict[str, float]:
    """What the learning rate of each parameter is multiplied by."""
    return {name: group.get("scale", 1.0) for name, group in groups_of(task).items()}


# Views


def ramps(task: Any) -> Tensor:
    """A picture whose first channel grows from left to right and whose second grows downwards."""
    across, down = torch.linspace(0, 1, 121), torch.linspace(0, 1, 91)
    grid = torch.stack([across.expand(91, -1), down[:, None].expand(-1, 121), torch.zeros(91, 121)])
    return grid[: task.plan.in_channels]


def seen_by(task: Any, picture: Tensor) -> list[Tensor]:
    """What the views of several seeds make of a picture, [C, H, W] each; of pairs the first."""
    target = 0  # a class, where there is one
    return [task.view(Decoded(picture), target, seed)[0] for seed in SEEDS]


def crops_within(task: Any, low: float, high: float) -> bool:
    """Whether all crops have such a share of the picture's area."""
    for view in seen_by(task, ramps(task)):
        sides = [(x.amax() - x.amin()).item() * n / (n - 1) for x, n in _sides(view)]
        if not 0.93 * low <= math.prod(sides) <= 1.07 * high:
            return False
    return True


def _sides(view: Tensor) -> list[tuple[Tensor, int]]:
    return [(view[0], view.shape[2]), (view[1], view.shape[1])]


def flips(task: Any) -> float:
    """The share of views that are flipped."""
    views = seen_by(task, ramps(task))
    return sum((view[0, 0, 0] > view[0, 0, -1]).item() for view in views) / len(views)


def shrinks(task: Any) -> bool:
    """Whether large pictures may be shrunk as they are decoded."""
    return any(task.view.shrinkage(2000, 3000, seed) > 1 for seed in SEEDS)


# Batches


def batch(task: Any, step: int = 0, *, images: Tensor | None = None) -> Batch[Any]:
    """The whole batch of a step, of noise unless there are images."""
    number, size = task.plan.batch_size, task.plan.image_size
    if images is None:
        images = torch.rand(number, task.plan.in_channels, *size, generator=plain.dice(step))
    indices = list(range(len(images)))
    examples: Any = Unlabelled(images)
    if isinstance(task.images, Labelled):
        examples = Classified(images, torch.tensor([task.images.labels[i] for i in indices]))
    return Batch(step, 0, examples, indices, [])


def is_normalised(task: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
    """Whether the network gets just (x - mean) / std."""
    given = batch(task)
    prepared, _ = task.prepare(given)
    return torch.allclose(prepared, plain.normalised(given.examples.image, mean, std), atol=1e-5)


def computes_in(task: Any, dtype: torch.dtype) -> bool:
    """Whether products are computed in this precision."""
    with task.runtime.autocast():
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def starts_as(task: Any, module: torch.nn.Module) -> bool:
    """Whether the first weights are those of a module."""
    ours, theirs = task.trained.state_dict(), module.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


# What it leaves


def described(task: Any) -> dict[str, Any]:
    """What the weights that a task writes say of themselves."""
    task.save_weights(3)
    with safe_open(Path(task.out) / "weights.safetensors", "pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["fcmae"])
    return found
