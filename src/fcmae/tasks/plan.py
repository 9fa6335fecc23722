"""From options to a plan: every number that decides a pre-training run, settled before it starts.

The plan is what `config.json` stores, what `--dry-run` prints and what a resumed run must match.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

from fcmae.masks import num_visible
from fcmae.optim import scaled_learning_rate
from fcmae.recipes import PRETRAINING, TABLE_1
from fcmae.tasks.settings import Recipe, override

PAPER = TABLE_1["A"]  # the table has one column for all sizes
STEPS_WANTED = 32  # an epoch's worth, when the batch size is ours to choose


@dataclass(frozen=True, slots=True)
class Departure:
    """A field in which the run is not as the paper has it."""

    field: str
    table: object
    run: object
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the bits of a run on one device."""

    data: str
    images: int
    names: str  # digest of the images' names, in order
    model: str
    in_channels: int
    stem_stride: int
    patch_size: int
    image_size: tuple[int, int]
    mask_ratio: float
    visible_patches: int
    patches: int
    batch_size: int
    epochs: int
    seed: int
    precision: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    checkpoint_blocks: bool
    recipe: Recipe
    departures: tuple[Departure, ...]

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data; what is left over waits for the next epoch's order."""
        return self.images // self.batch_size

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    @property
    def warmup_steps(self) -> int:
        """Steps of the linear warm-up."""
        return round(self.recipe.warmup_epochs * self.steps_per_epoch)

    @property
    def learning_rate(self) -> float:
        """The peak: base learning rate x batch size / 256 (appendix A.2)."""
        return scaled_learning_rate(self.recipe.base_learning_rate, self.batch_size)

    @property
    def log_every(self) -> int:
        """Steps between two lines of the metrics: about twenty lines an epoch."""
        return min(max(self.steps_per_epoch // 20, 1), 100)

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
    mean: tuple[float, ...],
    std: tuple[float, ...],
    checkpoint_blocks: bool,
    assignments: tuple[str, ...],
) -> Plan:
    """Check the options, fill in what was left open and list the departures from the paper."""
    patch_size = check_patch_size(patch_size, stem_stride)
    rows, columns = check_grid(image_size, patch_size)
    if epochs < 1:
        raise ValueError(f"epochs {epochs}: at least 1 is needed")
    recipe = override(default_recipe(epochs), assignments)
    _check_recipe(recipe, epochs)
    plan = Plan(
        data=data,
        images=images,
        names=hashlib.sha256("\n".join(names).encode()).hexdigest(),
        model=model,
        in_channels=in_channels,
        stem_stride=stem_stride,
        patch_size=patch_size,
        image_size=image_size,
        mask_ratio=mask_ratio,
        visible_patches=num_visible(rows * columns, mask_ratio),
        patches=rows * columns,
        batch_size=default_batch_size(images) if batch_size is None else batch_size,
        epochs=epochs,
        seed=seed,
        precision=precision,
        mean=mean,
        std=std,
        checkpoint_blocks=checkpoint_blocks,
        recipe=recipe,
        departures=(),
    )
    if plan.batch_size < 1:
        raise ValueError(f"batch size {plan.batch_size}: at least 1 is needed")
    if plan.batch_size > images:
        raise ValueError(
            f"batch size {plan.batch_size} is more than the {images} images in {data}: "
            f"lower it, to {default_batch_size(images)} say"
        )
    return dataclasses.replace(
        plan, departures=tuple(departures(plan, chosen=batch_size is not None))
    )


def check_patch_size(patch_size: int | None, stem_stride: int) -> int:
    """The patch size, by default the total stride; refuses what no encoder can mask."""
    if stem_stride not in (1, 2, 4):
        raise ValueError(
            f"stem_stride {stem_stride} is not supported: 4, or 1 or 2 for small images"
        )
    stride = 8 * stem_stride
    if patch_size is None:
        return stride
    if patch_size < stride or patch_size % stride:
        below = max(patch_size // stride, 1) * stride
        raise ValueError(
            f"patch_size {patch_size} is not a multiple of the total stride {stride} "
            f"(8 x stem_stride {stem_stride}): try {below} or {below + stride}"
        )
    return patch_size


def check_grid(image_size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Rows and columns of patches; refuses a size that does not divide, naming the nearest."""
    for value in image_size:
        if value < patch_size or value % patch_size:
            below = value // patch_size * patch_size
            nearest = " or ".join(str(n) for n in (below, below + patch_size) if n)
            raise ValueError(
                f"image size {image_size[0]}x{image_size[1]}: {value} is not a multiple of the "
                f"patch size {patch_size}; the nearest: {nearest}"
            )
    return image_size[0] // patch_size, image_size[1] // patch_size


def default_batch_size(images: int) -> int:
    """The largest power of two that leaves 32 steps an epoch, from 16 to the paper's 4096."""
    power = 1 << max(images // STEPS_WANTED, 1).bit_length() - 1
    return min(max(power, 16), PAPER.batch_size, images)


def default_recipe(epochs: int) -> Recipe:
    """Table 1 and what it leaves out; a shorter run warms up for the same share of its epochs."""
    share = PAPER.warmup_epochs / PAPER.training_epochs[0]
    return Recipe(
        base_learning_rate=PAPER.base_learning_rate,
        weight_decay=PAPER.weight_decay,
        optimizer_momentum=PAPER.optimizer_momentum,
        warmup_epochs=float(min(PAPER.warmup_epochs, share * epochs)),
        minimum_learning_rate=PRETRAINING.minimum_learning_rate,
        decay_exempt=PRETRAINING.decay_exempt,
        norm_pix=PRETRAINING.norm_pix,
        decoder_width=PRETRAINING.decoder_width,
        decoder_depth=PRETRAINING.decoder_depth,
        crop_scale=PRETRAINING.crop_scale,
        horizontal_flip=PRETRAINING.horizontal_flip,
    )


def _check_recipe(recipe: Recipe, epochs: int) -> None:
    low, high = recipe.crop_scale
    first, second = recipe.optimizer_momentum
    for name, fine, wanted in (
        ("base_learning_rate", recipe.base_learning_rate > 0, "more than 0"),
        ("weight_decay", recipe.weight_decay >= 0, "0 or more"),
        ("optimizer_momentum", 0 <= first < 1 and 0 <= second < 1, "two numbers from 0 to below 1"),
        ("warmup_epochs", 0 <= recipe.warmup_epochs <= epochs, f"from 0 to the {epochs} epochs"),
        ("minimum_learning_rate", recipe.minimum_learning_rate >= 0, "0 or more"),
        ("decay_exempt", recipe.decay_exempt in ("fixed", "paper-code"), "fixed or paper-code"),
        ("decoder_width", recipe.decoder_width > 0, "1 or more"),
        ("decoder_depth", recipe.decoder_depth > 0, "1 or more"),
        (
            "crop_scale",
            0 < low <= high <= 1,
            "two shares of the area in growing order, like (0.2, 1.0)",
        ),
        ("horizontal_flip", 0 <= recipe.horizontal_flip <= 1, "a probability"),
    ):
        if not fine:
            raise ValueError(f"{name} {getattr(recipe, name)} is not usable: it must be {wanted}")


def departures(plan: Plan, *, chosen: bool) -> list[Departure]:
    """Every field in which the plan is not the paper's, with the reason."""
    asked, paper_recipe = "asked for", default_recipe(PAPER.training_epochs[0])
    few = f"{plan.images} images: {plan.steps_per_epoch} steps an epoch"
    compared = [
        ("batch_size", PAPER.batch_size, plan.batch_size, asked if chosen else few),
        ("training_epochs", PAPER.training_epochs, plan.epochs, asked),
        ("image_size", (PRETRAINING.image_size,) * 2, plan.image_size, asked),
        ("mask_size", PRETRAINING.mask_size, plan.patch_size, asked),
        ("mask_ratio", PRETRAINING.mask_ratio, plan.mask_ratio, asked),
        ("stem_stride", 4, plan.stem_stride, asked),
    ]
    own = default_recipe(plan.epochs)
    for field in dataclasses.fields(plan.recipe):
        value = getattr(plan.recipe, field.name)
        because = "the same share of the epochs" if value == getattr(own, field.name) else asked
        compared.append((field.name, getattr(paper_recipe, field.name), value, because))
    return [
        Departure(field, table, run, because)
        for field, table, run, because in compared
        if run != table and not (field == "training_epochs" and run in PAPER.training_epochs)
    ]
