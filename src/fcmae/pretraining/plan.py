"""From options to a plan: every number that decides a pre-training run, known before it starts.

What one method alone has is in its own file; see `methods`.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from torch import Tensor, nn

from fcmae.commands.pretrain import Pretrain
from fcmae.commands.shared import parse_image_size
from fcmae.images import Batch, View
from fcmae.images.fixed_images import Pictures
from fcmae.images.views import check_decoding
from fcmae.models.encoder import Encoder
from fcmae.models.responses import check_response
from fcmae.optim.groups import EXEMPT
from fcmae.training import plan as training_plan
from fcmae.training import recipe as training_recipe
from fcmae.training.plan import Lines, check_length, choose_batch_size
from fcmae.training.recipe import (
    ASKED,
    Comparison,
    Departure,
    Rule,
    check_recipe,
    compare_recipes,
    departures,
    override,
)
from fcmae.training.start import Facts
from fcmae.training.task import Follower
from fcmae.weights import LoadReport


class Recipe(training_recipe.Recipe, Protocol):
    """What the recipes of all methods have."""

    @property
    def decay_exempt(self) -> str:
        """Which parameters do not decay; see `optim.parameter_groups`."""

    def fitted(self, epochs: int, in_channels: int) -> Self:
        """The published recipe as it is used: in a shorter run, and for such images."""

    def rules(self, in_channels: int) -> tuple[Rule, ...]:
        """What the values must be of fields that only this method has."""


class Learner(Protocol):
    """What is trained under a plan, and what a step does with it."""

    @property
    def module(self) -> nn.Module:
        """All of it."""

    @property
    def view(self) -> View[Any, Any]:
        """How an image is seen."""

    @property
    def followers(self) -> Sequence[Follower]:
        """What follows the weights after each step."""

    @property
    def encoder(self) -> Encoder:
        """The part of the module that is kept in the end."""

    def load(self, path: str, key: str | None) -> LoadReport:
        """Begin with an encoder's weights."""

    def prepare(self, batch: Batch[Any], *views: Tensor) -> tuple[Tensor, Tensor]:
        """Of a batch whose views are normalised and on the device: what `loss` takes."""

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        """The mean loss of prepared images."""

    def observe(self, epoch: int) -> dict[str, Any]:
        """Measure the fixed images, for the metrics; empty where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(training_plan.Plan, ABC):
    """Everything that decides the bits of a run on one device; each method has its own."""

    recipe: Recipe

    @abstractmethod
    def comparisons(self) -> list[Comparison]:
        """Comparisons with what was published that only this method has."""

    @abstractmethod
    def details(self) -> Lines:
        """Lines for the screen on this method's images and loss."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Entries of `config.json` that only this method has."""

    @abstractmethod
    def learner(self, pictures: Pictures | None, out: Path) -> Learner:
        """What is trained, with fresh weights, on the processor.

        Args:
            pictures: the fixed images; None in processes that write nothing.
            out: the run folder.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to pre-train an encoder.

    Attributes:
        source: what a run is compared with, such as "Table 1".
        batch_size: as published.
        epochs: as published; the first unless others are asked for.
        image_size: as published.
        precision: as published.
        recipe: as published.
        because: why a plan departs in fields that the user did not set.
        options: those of `pretrain` that only some methods have.
        whole_batches: whether the loss compares images, so that a batch cannot be cut up.
        template: of the report, which extends `pretraining/page.html`.
        plan: makes the plan of options and of the fields that the plans of all methods have.
    """

    source: str
    batch_size: int
    epochs: tuple[int, ...]
    image_size: int
    precision: str
    recipe: Recipe
    because: Mapping[str, str]
    options: tuple[str, ...]
    whole_batches: bool
    template: str
    plan: Callable[[Pretrain, Mapping[str, Any]], Plan]


def make_plan(method: Method, options: Pretrain, facts: Facts) -> Plan:
    """Check the options, fill in what was left open and list the departures from the recipe."""
    epochs = options.epochs
    assert epochs is not None  # the method's, where none were asked for
    check_length(epochs, options.seed)
    own = method.recipe.fitted(epochs, options.in_channels)
    recipe = override(own, options.set)
    exempt = ("decay_exempt", recipe.decay_exempt in EXEMPT, " or ".join(EXEMPT))
    check_recipe(recipe, epochs, (exempt, *recipe.rules(options.in_channels)))
    check_response(options.model, recipe.response)
    largest, batch_size = method.batch_size, options.batch_size
    plan = method.plan(
        options,
        {
            **facts._asdict(),
            "model": options.model,
            "in_channels": options.in_channels,
            "stem_stride": options.stem_stride,
            "image_size": parse_image_size(options.image_size),
            "batch_size": choose_batch_size(batch_size, facts.images, facts.data, largest),
            "epochs": epochs,
            "seed": options.seed,
            "decoding": check_decoding(options.decoding),
            "recipe": recipe,
        },
    )
    plan.check_learning_rate()
    return dataclasses.replace(plan, departures=compare(method, plan, own, options))


def compare(method: Method, plan: Plan, own: Recipe, options: Pretrain) -> tuple[Departure, ...]:
    """Every field in which the plan departs from what was published, with the reason."""
    epochs = method.epochs[0] if len(method.epochs) == 1 else method.epochs
    because = {
        name: text.format(channels=plan.in_channels) for name, text in method.because.items()
    }
    few = f"{plan.images} images: {plan.steps_per_epoch} steps an epoch"
    reasons = {"batch_size": few, **because, **dict.fromkeys(options.given, ASKED)}
    compared: list[Comparison] = [
        ("batch_size", method.batch_size, plan.batch_size, reasons["batch_size"]),
        ("image_size", (method.image_size,) * 2, plan.image_size, ASKED),
        *plan.comparisons(),
        ("init", "scratch", plan.init, ASKED),
        ("in_channels", 3, plan.in_channels, ASKED),
        ("statistics", "imagenet", plan.statistics, ASKED),
        ("stem_stride", 4, plan.stem_stride, ASKED),
        ("precision", method.precision, plan.precision, reasons["precision"]),
        *compare_recipes(plan.recipe, own, method.recipe, because),
    ]
    if plan.epochs not in method.epochs:
        compared.insert(1, ("training_epochs", epochs, plan.epochs, ASKED))
    return departures(compared)
