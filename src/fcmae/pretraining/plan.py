"""From options to a plan: every number that decides a pre-training run, settled before it starts.

The plan is what `config.json` stores, what `--dry-run` prints and what a resumed run must match.
"""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fcmae.images import IMAGENET_MEAN, IMAGENET_STD
from fcmae.models.masks import check_patch_size, num_visible, patch_grid
from fcmae.models.responses import USUAL, check_response
from fcmae.optim import scaled_learning_rate
from fcmae.optim.groups import EXEMPT
from fcmae.recipes import PRETRAINING, TABLE_1
from fcmae.sizes import total_stride
from fcmae.storage.digest import digest_of_names
from fcmae.training.checks import check_peak, check_recipe, check_run, settle_batch_size
from fcmae.training.departures import Departure, departures
from fcmae.training.schedule import Schedule
from fcmae.training.settings import override

PAPER = TABLE_1["A"]  # the table has one column for all sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything of Table 1, and of what it leaves out, that has no option of its own."""

    base_learning_rate: float
    weight_decay: float
    optimizer_momentum: tuple[float, float]
    warmup_epochs: float
    minimum_learning_rate: float
    decay_exempt: str
    norm_pix: bool
    decoder_width: int
    decoder_depth: int
    crop_scale: tuple[float, float]
    horizontal_flip: float
    response: str  # what the encoder's blocks have in GRN's place


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Schedule):
    """Everything that decides the bits of a run on one device."""

    data: str
    init: str  # what the encoder's weights are at first: a path, or "scratch"
    names: str  # digest of the images' names, in order
    model: str
    in_channels: int
    stem_stride: int
    patch_size: int
    image_size: tuple[int, int]
    mask_ratio: float
    visible_patches: int
    patches: int
    seed: int
    precision: str
    decoding: str  # of what is trained on: "fast" or "exact"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    recipe: Recipe
    departures: tuple[Departure, ...]

    @property
    def warmup_steps(self) -> int:
        """Steps of the linear warm-up."""
        return round(self.recipe.warmup_epochs * self.steps_per_epoch)

    @property
    def learning_rate(self) -> float:
        """The peak: base learning rate x batch size / 256 (appendix A.2)."""
        return scaled_learning_rate(self.recipe.base_learning_rate, self.batch_size)

    @property
    def real_mask_ratio(self) -> float:
        """The share of patches that is masked once their number is whole."""
        return 1 - self.visible_patches / self.patches

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def settle(
    *,
    data: str,
    init: str,
    images: int,
    names: list[str],
    model: str,
    in_channels: int,
    stem_stride: int,
    patch_size: int | None,
    image_size: tuple[int, int],
    mask_ratio: float,
    batch_size: int | None,
    epochs: int,
    seed: int,
    precision: str,
    decoding: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    assignments: tuple[str, ...],
    given: Collection[str],
) -> Plan:
    """Check the options, fill in what was left open and list the departures from the paper.

    `given` has the names of the options that a user chose, which is the reason for a departure.
    """
    patch_size = check_patch_size(patch_size, total_stride(stem_stride))
    rows, columns = patch_grid(*image_size, patch_size)
    check_run(epochs, seed)
    recipe = override(default_recipe(epochs), assignments)
    _check(recipe, epochs)
    check_response(model, recipe.response)
    plan = Plan(
        data=data,
        init=init,
        images=images,
        names=digest_of_names(names),
        model=model,
        in_channels=in_channels,
        stem_stride=stem_stride,
        patch_size=patch_size,
        image_size=image_size,
        mask_ratio=mask_ratio,
        visible_patches=num_visible(rows * columns, mask_ratio),
        patches=rows * columns,
        batch_size=settle_batch_size(batch_size, images, data, PAPER.batch_size),
        epochs=epochs,
        seed=seed,
        precision=precision,
        decoding=decoding,
        mean=mean,
        std=std,
        recipe=recipe,
        departures=(),
    )
    check_peak(plan.learning_rate, recipe.minimum_learning_rate)
    return dataclasses.replace(plan, departures=compare_with_paper(plan, given))


def default_recipe(epochs: int) -> Recipe:
    """Table 1 and what it leaves out; a shorter run warms up for the same share of its epochs."""
    share = PAPER.warmup_epochs / PAPER.training_epochs[0]
    return Recipe(
        base_learning_rate=PAPER.base_learning_rate,
        weight_decay=PAPER.weight_decay,
        optimizer_momentum=PAPER.optimizer_momentum,
        warmup_epochs=float(min(PAPER.warmup_epochs, share * epochs)),
        minimum_learning_rate=PRETRAINING.minimum_learning_rate,
        decay_exempt="fixed",
        norm_pix=PRETRAINING.norm_pix,
        decoder_width=PRETRAINING.decoder_width,
        decoder_depth=PRETRAINING.decoder_depth,
        crop_scale=PRETRAINING.crop_scale,
        horizontal_flip=PRETRAINING.horizontal_flip,
        response=USUAL,
    )


def _check(recipe: Recipe, epochs: int) -> None:
    exempt = ("decay_exempt", recipe.decay_exempt in EXEMPT, " or ".join(EXEMPT))
    width = ("decoder_width", recipe.decoder_width > 0, "1 or more")
    depth = ("decoder_depth", recipe.decoder_depth > 0, "1 or more")
    check_recipe(recipe, epochs, (exempt, width, depth))


# Why our own settings are not the paper's, where nobody asked for it.
BECAUSE = {
    "warmup_epochs": "the same share of the epochs",
    "decay_exempt": "GRN's scales and the mask token are no weights to be kept small",
}


def compare_with_paper(plan: Plan, given: Collection[str]) -> tuple[Departure, ...]:
    """Every field in which the plan is not the paper's or its authors' code's, with the reason."""
    asked, authors = "asked for", dataclasses.asdict(default_recipe(PAPER.training_epochs[0]))
    authors["decay_exempt"] = PRETRAINING.decay_exempt
    few = f"{plan.images} images: {plan.steps_per_epoch} steps an epoch"
    imagenet = (plan.mean, plan.std) == (IMAGENET_MEAN, IMAGENET_STD)
    compared: list[tuple[str, object, object, str]] = [
        ("batch_size", PAPER.batch_size, plan.batch_size, asked if "batch_size" in given else few),
        ("image_size", (PRETRAINING.image_size,) * 2, plan.image_size, asked),
        ("init", "scratch", plan.init, asked),
        ("in_channels", 3, plan.in_channels, asked),
        ("statistics", "imagenet", "imagenet" if imagenet else "data", asked),
        ("mask_size", PRETRAINING.mask_size, plan.patch_size, asked),
        ("mask_ratio", PRETRAINING.mask_ratio, plan.mask_ratio, asked),
        ("stem_stride", 4, plan.stem_stride, asked),
        (
            "precision",
            PRETRAINING.precision,
            plan.precision,
            asked if "precision" in given else "the hardware has it, and is faster",
        ),
    ]
    own = default_recipe(plan.epochs)
    for field in dataclasses.fields(plan.recipe):
        value = getattr(plan.recipe, field.name)
        left_alone = value == getattr(own, field.name) and field.name in BECAUSE
        because = BECAUSE[field.name] if left_alone else asked
        compared.append((field.name, authors[field.name], value, because))
    if plan.epochs not in PAPER.training_epochs:
        compared.insert(1, ("training_epochs", PAPER.training_epochs, plan.epochs, asked))
    return departures(compared)
