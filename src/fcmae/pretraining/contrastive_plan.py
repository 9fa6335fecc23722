"""From options to a plan of MoCo v3: every number that decides a run, settled before it starts.

As `plan` does for masked pre-training, with MoCo v3's recipe in the place of Table 1.
"""

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fcmae.images import IMAGENET_MEAN, IMAGENET_STD
from fcmae.models.responses import USUAL, check_response
from fcmae.optim import scaled_learning_rate
from fcmae.optim.groups import EXEMPT
from fcmae.recipes import MOCO_V3
from fcmae.sizes import total_stride
from fcmae.storage.digest import digest_of_names
from fcmae.training.checks import Rule, check_peak, check_recipe, check_run, settle_batch_size
from fcmae.training.departures import Departure, departures
from fcmae.training.schedule import Schedule
from fcmae.training.settings import override


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastiveRecipe:
    """Everything of MoCo v3's recipe that has no option of its own; see `recipes.moco_v3`."""

    base_learning_rate: float
    weight_decay: float
    optimizer_momentum: tuple[float, float]
    warmup_epochs: float
    minimum_learning_rate: float
    decay_exempt: str
    temperature: float
    encoder_momentum: float
    hidden_width: int
    projection_width: int
    frozen_stem: bool
    crop_scale: tuple[float, float]
    horizontal_flip: float
    colour_jitter: tuple[float, float, float, float]
    jitter_probability: float
    grey: float
    blur: tuple[float, float]
    blur_sigma: tuple[float, float]
    solarise: tuple[float, float]
    response: str  # what the encoder's blocks have in GRN's place


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastivePlan(Schedule):
    """Everything that decides the bits of a run on one device."""

    data: str
    init: str  # what the encoder's weights are at first: a path, or "scratch"
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
    recipe: ContrastiveRecipe
    departures: tuple[Departure, ...]

    @property
    def warmup_steps(self) -> int:
        """Steps of the linear warm-up."""
        return round(self.recipe.warmup_epochs * self.steps_per_epoch)

    @property
    def learning_rate(self) -> float:
        """The peak: base learning rate x batch size / 256."""
        return scaled_learning_rate(self.recipe.base_learning_rate, self.batch_size)

    @property
    def chance(self) -> float:
        """The loss of guesses: 2 temperature ln(batch size), in both directions."""
        return 4 * self.recipe.temperature * math.log(self.batch_size)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def settle(
    *,
    data: str,
    images: int,
    names: list[str],
    model: str,
    in_channels: int,
    stem_stride: int,
    image_size: tuple[int, int],
    batch_size: int | None,
    epochs: int,
    seed: int,
    assignments: tuple[str, ...],
    given: Collection[str],
    **facts: Any,
) -> ContrastivePlan:
    """Check the options, fill in what was left open and list the departures from the recipe.

    `given` has the names of the options that a user chose, which is the reason for a departure.
    """
    stride = total_stride(stem_stride)
    if any(side < stride or side % stride for side in image_size):
        raise ValueError(
            f"image size {image_size[0]}x{image_size[1]}: both sides must be multiples of {stride} "
            f"pixels, 8 times the stem stride"
        )
    check_run(epochs, seed)
    recipe = override(default_recipe(epochs, in_channels), assignments)
    check_recipe(recipe, epochs, _rules(recipe, in_channels))
    check_response(model, recipe.response)
    plan = ContrastivePlan(
        data=data,
        images=images,
        names=digest_of_names(names),
        model=model,
        in_channels=in_channels,
        stem_stride=stem_stride,
        image_size=image_size,
        batch_size=settle_batch_size(batch_size, images, data, MOCO_V3.batch_size),
        epochs=epochs,
        seed=seed,
        recipe=recipe,
        departures=(),
        **facts,
    )
    if plan.batch_size < 2:
        raise ValueError("batch size 1: there is nothing to tell an image from; 2 is the least")
    check_peak(plan.learning_rate, recipe.minimum_learning_rate)
    return dataclasses.replace(plan, departures=compare_with_recipe(plan, given))


def default_recipe(epochs: int, in_channels: int = 3) -> ContrastiveRecipe:
    """MoCo v3's, fitted to a shorter run, and to images without colours."""
    share = MOCO_V3.warmup_epochs / MOCO_V3.training_epochs
    brightness, contrast, *_ = MOCO_V3.colour_jitter
    jitter = {1: (brightness, contrast, 0.0, 0.0), 3: MOCO_V3.colour_jitter}
    return dataclasses.replace(
        published_recipe(),
        warmup_epochs=float(min(MOCO_V3.warmup_epochs, share * epochs)),
        decay_exempt="fixed",
        frozen_stem=False,
        colour_jitter=jitter.get(in_channels, (0.0,) * 4),
        grey=MOCO_V3.grey if in_channels == 3 else 0.0,
    )


def published_recipe() -> ContrastiveRecipe:
    """MoCo v3's own."""
    names = {field.name for field in dataclasses.fields(ContrastiveRecipe)}
    values: dict[str, Any] = {name: getattr(MOCO_V3, name) for name in names - {"response"}}
    return ContrastiveRecipe(
        **values | {"warmup_epochs": float(MOCO_V3.warmup_epochs)}, response=USUAL
    )


def _rules(recipe: ContrastiveRecipe, channels: int) -> tuple[Rule, ...]:
    def probabilities(*values: float) -> bool:
        return all(0 <= value <= 1 for value in values)

    jitter, (low, high) = recipe.colour_jitter, recipe.blur_sigma
    known = {1: 2, 3: 4}.get(channels, 0)  # of the four changes
    pair = "two probabilities, of the first crop and of the second, like (1.0, 0.1)"
    return (
        ("decay_exempt", recipe.decay_exempt in EXEMPT, " or ".join(EXEMPT)),
        ("temperature", recipe.temperature > 0, "more than 0"),
        ("encoder_momentum", 0 <= recipe.encoder_momentum <= 1, "from 0 to 1"),
        ("hidden_width", recipe.hidden_width > 0, "1 or more"),
        ("projection_width", recipe.projection_width > 0, "1 or more"),
        ("colour_jitter", min(jitter) >= 0 and jitter[3] <= 0.5, "0 or more, and 0.5 at most last"),
        (
            "colour_jitter",
            not any(jitter[known:]),
            f"0 from number {known + 1} on: images of {channels} channels have no such change",
        ),
        ("jitter_probability", probabilities(recipe.jitter_probability), "a probability"),
        ("grey", probabilities(recipe.grey), "a probability"),
        ("grey", channels == 3 or recipe.grey == 0, f"0 for images of {channels} channels"),
        ("blur", probabilities(*recipe.blur), pair),
        ("blur_sigma", 0 < low <= high, "two deviations in growing order, like (0.1, 2.0)"),
        ("solarise", probabilities(*recipe.solarise), pair),
    )


def compare_with_recipe(plan: ContrastivePlan, given: Collection[str]) -> tuple[Departure, ...]:
    """Every field in which the plan is not MoCo v3's recipe, with the reason."""
    asked, size = "asked for", (MOCO_V3.image_size,) * 2
    few = f"{plan.images} images: {plan.steps_per_epoch} steps an epoch"
    imagenet = (plan.mean, plan.std) == (IMAGENET_MEAN, IMAGENET_STD)
    colours = f"of {plan.in_channels} channels there are no such colours"
    compared: list[tuple[str, object, object, str]] = [
        (
            "batch_size",
            MOCO_V3.batch_size,
            plan.batch_size,
            asked if "batch_size" in given else few,
        ),
        ("training_epochs", MOCO_V3.training_epochs, plan.epochs, asked),
        ("image_size", size, plan.image_size, asked),
        ("interpolation", MOCO_V3.interpolation, "bicubic", "as for every other task"),
        ("init", "scratch", plan.init, asked),
        ("in_channels", 3, plan.in_channels, asked),
        ("statistics", "imagenet", "imagenet" if imagenet else "data", asked),
        ("stem_stride", 4, plan.stem_stride, asked),
        (
            "precision",
            MOCO_V3.precision,
            plan.precision,
            asked if "precision" in given else "it needs no scaling of the loss",
        ),
    ]
    reasons = {
        "warmup_epochs": "the same share of the epochs",
        "decay_exempt": "biases, norms and GRN's scales are no weights to be kept small",
        "frozen_stem": "that is for ViT's stability",
        "colour_jitter": colours,
        "grey": colours,
    }
    published, own = published_recipe(), default_recipe(plan.epochs, plan.in_channels)
    for field in dataclasses.fields(plan.recipe):
        value = getattr(plan.recipe, field.name)
        left_alone = value == getattr(own, field.name)
        because = reasons.get(field.name, asked) if left_alone else asked
        compared.append((field.name, getattr(published, field.name), value, because))
    return departures(compared)
