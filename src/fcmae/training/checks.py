"""What the numbers of every training's plan must be, refused in words where they are not."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from fcmae.training.schedule import default_batch_size

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Rule = tuple[str, bool, str]  # a field, whether its value can be used, and what it must be


def check_run(epochs: int, seed: int) -> None:
    """Refuse a run of no epochs, and a seed that generators do not take."""
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"seed {seed}: a number from 0 to 2**63 - 1 is needed")
    if epochs < 1:
        raise ValueError(f"epochs {epochs}: at least 1 is needed")


def settle_batch_size(wanted: int | None, images: int, data: str, largest: int) -> int:
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


def check_recipe(recipe: "DataclassInstance", epochs: int, rules: Iterable[Rule]) -> None:
    """Refuse a recipe with a value that cannot be used.

    Args:
        recipe: of any training; it has the fields that are checked here, and others.
        epochs: of the run.
        rules: for its other fields.
    """
    values = asdict(recipe)
    low, high = values["crop_scale"]
    pair = all(0 <= number < 1 for number in values["optimizer_momentum"])
    area = "two shares of the area in growing order, like (0.2, 1.0)"
    for field, fine, wanted in (
        ("base_learning_rate", values["base_learning_rate"] > 0, "more than 0"),
        ("weight_decay", values["weight_decay"] >= 0, "0 or more"),
        ("optimizer_momentum", pair, "two numbers from 0 to below 1"),
        ("warmup_epochs", 0 <= values["warmup_epochs"] <= epochs, f"from 0 to the {epochs} epochs"),
        ("minimum_learning_rate", values["minimum_learning_rate"] >= 0, "0 or more"),
        ("crop_scale", 0 < low <= high <= 1, area),
        ("horizontal_flip", 0 <= values["horizontal_flip"] <= 1, "a probability"),
        *rules,
    ):
        if not fine:
            raise ValueError(f"{field} {values[field]} is not usable: it must be {wanted}")


def check_peak(peak: float, minimum: float) -> None:
    """Refuse a learning rate that would rise where it should fall."""
    if minimum > peak:
        raise ValueError(f"minimum_learning_rate {minimum:g} is above the peak, {peak:g}: lower it")
