"""The accuracy of a run: the best that it reached, and how far that can be trusted."""

import math
from dataclasses import dataclass

from fcmae.report.curves import Array, finite
from fcmae.report.read import Run

Z = 1.959964  # of a normal distribution, 95 % lie within this many deviations of its mean


@dataclass(frozen=True)
class Best:
    """The best validation of a run."""

    epoch: float  # NaN where unknown
    averaged: bool  # whether of the averaged weights
    accuracy: float  # 0 to 1
    top_5: float  # NaN where there are five classes or fewer
    images: int  # that could be read; 0 where unknown


def best(run: Run) -> Best | None:
    """The epoch whose weights the run keeps, as validation.json has it; None before the first.

    Without that file it is found again as the run found it: the first of the highest accuracies, of
    the averaged weights where there are any.
    """
    outcome = run.outcome
    stated = run.number("data", "val_images")
    images = int(outcome.images.sum()) or (int(stated) if math.isfinite(stated) else 0)
    if math.isfinite(outcome.accuracy):
        return Best(outcome.epoch, outcome.averaged, outcome.accuracy, outcome.top_5, images)
    epoch, accuracy = finite(run.validations.epoch, followed(run))
    if len(accuracy) == 0:
        return None
    place = int(accuracy.argmax())
    return Best(float(epoch[place]), has_average(run), float(accuracy[place]), math.nan, images)


def has_average(run: Run) -> bool:
    """Whether the run averages its weights."""
    return len(finite(run.validations.step, run.validations.average_accuracy)[0]) > 0


def followed(run: Run) -> Array:
    """The accuracy that decides which epoch is best: [V]."""
    validations = run.validations
    return validations.average_accuracy if has_average(run) else validations.accuracy


def interval(accuracy: float, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, sound for few images and near 0 and 1 as well.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Args:
        accuracy: 0 to 1.
        images: of which it is the share, at least one.

    Returns:
        Its lower and its upper end, 0 to 1.
    """
    middle = accuracy + Z**2 / (2 * images)
    reach = Z * math.sqrt(accuracy * (1 - accuracy) / images + (Z / (2 * images)) ** 2)
    scale = 1 + Z**2 / images
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
