"""What the plans of all tasks share: schedule, learning rate, and the lines that describe them.

A plan is every number that decides a run, known before it starts: what `config.json` stores, what
`--dry-run` prints and what a resumed run must match.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fcmae.console.screen import shown
from fcmae.images import IMAGENET_MEAN, IMAGENET_STD
from fcmae.images.views import EXACT, FAST
from fcmae.optim import learning_rate, scaled_learning_rate
from fcmae.training.recipe import Departure, Recipe

STEPS_WANTED = 32  # in an epoch, where no batch size is given
DECODING_IN_WORDS = {
    FAST: "fast: JPEGs much larger than their crops are shrunk as they are decoded",
    EXACT: "exact",
}

Lines = list[tuple[str, str]]  # names and values to show


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How many steps a run has, and after how many of them what is done in between.

    What trains counts steps alone. The length is given in epochs or in iterations, which are
    steps; a run measures itself after each epoch, or after so many iterations.
    """

    images: int
    batch_size: int
    epochs: int  # of so many iterations: those that are begun
    iterations: int | None = None  # None: the length is that of the epochs
    iterations_per_measurement: int | None = None  # None: an epoch's

    @property
    def period(self) -> str:
        """What lies between two measurements, as the metrics and the screen call it."""
        return "period" if self.iterations_per_measurement else "epoch"

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data; what is left over waits for the next epoch's order."""
        return self.images // self.batch_size

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.iterations or self.epochs * self.steps_per_epoch

    @property
    def steps_per_period(self) -> int:
        """Optimiser steps from one measurement to the next."""
        return self.iterations_per_measurement or self.steps_per_epoch

    @property
    def length(self) -> str:
        """The number of steps, and how they fall into epochs, in words."""
        if self.iterations:
            return f"{self.steps}, of which {self.steps_per_epoch} are an epoch"
        return f"{self.steps} = {self.epochs} epochs x {self.steps_per_epoch}"

    @property
    def periods(self) -> int:
        """Measurements of the whole run; the last period may be a shorter one."""
        return -(-self.steps // self.steps_per_period)

    @property
    def log_every(self) -> int:
        """Steps between two lines of the metrics: about twenty lines a period."""
        return min(max(self.steps_per_period // 20, 1), 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Schedule):
    """Everything that decides the bits of a run on one device."""

    data: str
    init: str  # what the weights are at first: a path, or "scratch"
    names: str  # digest of the images' names, in order
    model: str
    in_channels: int
    stem_stride: int
    image_size: tuple[int, int]
    seed: int
    precision: str
    decoding: str  # of what is trained on: "fast" or "exact"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    recipe: Recipe
    departures: tuple[Departure, ...] = ()

    @property
    def warmup_steps(self) -> int:
        """Steps of the linear warm-up."""
        return round(self.recipe.warmup_epochs * self.steps_per_epoch)

    @property
    def learning_rate(self) -> float:
        """The peak: base learning rate x batch size / 256 (appendix A.2)."""
        return scaled_learning_rate(self.recipe.base_learning_rate, self.batch_size)

    @property
    def statistics(self) -> str:
        """What pixels are normalised with: "imagenet" or "data"."""
        imagenet = (self.mean, self.std) == (IMAGENET_MEAN, IMAGENET_STD)
        return "imagenet" if imagenet else "data"

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return learning_rate(
            step,
            peak=self.learning_rate,
            steps=self.steps,
            warmup_steps=self.warmup_steps,
            minimum=self.recipe.minimum_learning_rate,
        )

    def check_learning_rate(self) -> None:
        """Refuse a learning rate that would rise where it should fall."""
        peak, minimum = self.learning_rate, self.recipe.minimum_learning_rate
        if minimum > peak:
            raise ValueError(
                f"minimum_learning_rate {minimum:g} is above the peak, {peak:g}: lower it"
            )

    def describe_weights(self, step: int, own: Mapping[str, Any]) -> dict[str, Any]:
        """What is stored with weights, so that they can be used; `own` is what the task adds."""
        return {
            "model": self.model,
            "in_channels": self.in_channels,
            "stem_stride": self.stem_stride,
            "response": self.recipe.response,
            **own,
            "image_size": self.image_size,
            "mean": self.mean,
            "std": self.std,
            "step": step,
        }

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def check_length(epochs: int, seed: int) -> None:
    """Refuse a run of no epochs, and a seed that generators do not take."""
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"seed {seed}: a number from 0 to 2**63 - 1 is needed")
    if epochs < 1:
        raise ValueError(f"epochs {epochs}: at least 1 is needed")


def choose_batch_size(wanted: int | None, images: int, data: str, largest: int) -> int:
    """The batch size that was asked for, if so many images are there; else `default_batch_size`."""
    default = default_batch_size(images, largest)
    if wanted is None:
        return default
    if wanted < 1:
        raise ValueError(f"batch size {wanted}: at least 1 is needed")
    if wanted > images:
        raise ValueError(
            f"batch size {wanted} is more than the {images} images to train on in {data}: "
            f"lower it, to {default} say"
        )
    return wanted


def default_batch_size(images: int, largest: int) -> int:
    """The largest power of two that leaves 32 steps an epoch, from 16 to `largest`."""
    power = 1 << max(images // STEPS_WANTED, 1).bit_length() - 1
    return min(max(power, 16), largest, images)


def details(
    plan: Plan, device: torch.device, about: Lines, *, scaling: str, optimisation: Lines
) -> Lines:
    """What `--dry-run` and every run print first.

    Args:
        plan: of any task.
        device: where to compute.
        about: the task's lines on data and images.
        scaling: how the peak of the learning rate follows from the recipe, in words.
        optimisation: the task's further lines on its optimiser.
    """
    return [
        ("model", f"{plan.model}, {plan.in_channels} channels, stem stride {plan.stem_stride}"),
        *about,
        ("steps", f"{plan.length}, batch size {plan.batch_size}"),
        (
            "learning rate",
            f"{plan.learning_rate:.3g}{scaling} warm-up {plan.warmup_steps} steps, "
            f"then a cosine to {plan.recipe.minimum_learning_rate:g}",
        ),
        *optimisation,
        ("normalisation", f"mean {_rounded(plan.mean)}; deviation {_rounded(plan.std)}"),
        ("decoding", DECODING_IN_WORDS[plan.decoding]),
        ("device", f"{device}, {plan.precision}"),
    ]


def _rounded(values: Sequence[float]) -> str:
    return shown([round(value, 4) for value in values])
