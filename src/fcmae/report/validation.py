"""What a run that trains a classifier found out on its validation images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fcmae.report import json_files
from fcmae.report.curves import Array
from fcmae.report.json_files import entries, fact, number, share
from fcmae.report.pictures import BUDGET, picture

MEASURES = ("loss", "accuracy", "top_5")
SHARES = ("accuracy", "top_5")


@dataclass(frozen=True)
class Validations:
    """The validation after every epoch; every array is [V], NaN where a line lacks the value."""

    step: Array
    epoch: Array
    loss: Array  # nats
    accuracy: Array  # 0 to 1
    top_5: Array
    average_loss: Array  # the same of the averaged weights
    average_accuracy: Array
    average_top_5: Array


@dataclass(frozen=True)
class Stop:
    """Where a run ended before its last step, and why."""

    epoch: float
    because: str


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for another class."""

    name: str
    label: str
    predicted: str
    confidence: float  # 0 to 1
    picture: str | None  # a data URI


@dataclass(frozen=True)
class Outcome:
    """What became of the validation images in the best epoch; K classes."""

    epoch: float
    averaged: bool  # whether by the averaged weights
    accuracy: float
    top_5: float
    calibration_error: float  # 0 to 1
    classes: tuple[str, ...]
    train_images: Array  # [K], or [0] where unknown
    confusion: Array  # [K, K] images, true class by predicted, or [0, 0] where unknown
    mistakes: tuple[Mistake, ...]  # most confident first
    unreadable: tuple[tuple[str, str], ...]  # name, reason

    @property
    def images(self) -> Array:
        """Validation images of every class: [K], or [0] where unknown."""
        counts: Array = self.confusion.sum(1)
        return counts


def validation_columns() -> json_files.Columns:
    """Columns that `validation_line` fills and `Validations` takes."""
    return json_files.Columns("step", "epoch", *MEASURES, *(f"average_{name}" for name in MEASURES))


def validation_line(line: Mapping[str, object]) -> dict[str, object]:
    """A line of metrics.jsonl with the averaged weights' measures beside the model's."""
    averages = {f"average_{name}": fact(line, "average", name) for name in MEASURES}
    measures = {**line, **averages}
    return {
        name: share(value) if name.endswith(SHARES) else value for name, value in measures.items()
    }


def read_outcome(run: Path) -> Outcome:
    """Read RUN/validation.json and RUN/mistakes; what is missing is NaN or empty."""
    found = json_files.value(run / "validation.json")
    classes = tuple(str(name) for name in entries(fact(found, "classes")))
    return Outcome(
        epoch=number(fact(found, "epoch")),
        averaged=fact(found, "of") == "average",
        accuracy=share(fact(found, "accuracy")),
        top_5=share(fact(found, "top_5")),
        calibration_error=share(fact(found, "calibration_error")),
        classes=classes,
        train_images=_counts(fact(found, "train_images"), len(classes)),
        confusion=_counts(fact(found, "confusion"), len(classes), len(classes)),
        mistakes=_mistakes(entries(fact(found, "mistakes")), run / "mistakes"),
        unreadable=json_files.pairs(fact(found, "unreadable")),
    )


def _counts(content: object, *shape: int) -> Array:
    """Numbers of images in a nested list of `shape`; an empty array where they are not that."""
    nothing = np.zeros([0] * len(shape))
    try:
        counts = np.array(content, dtype=np.float64)
    except (TypeError, ValueError):  # such as rows of several lengths
        return nothing
    good = counts.shape == shape and bool((np.isfinite(counts) & (counts >= 0)).all())
    return counts if good else nothing


def _mistakes(found: list[object], folder: Path) -> tuple[Mistake, ...]:
    """The mistakes in their order, as many as fit into the budget of pictures."""
    mistakes: list[Mistake] = []
    size = 0
    for rank, entry in enumerate(found):
        uri = picture(folder / f"{rank}.webp")
        size += len(uri or "")
        if size > BUDGET * 4 / 3:
            break
        name, label, predicted = (
            str(fact(entry, key) or "unknown") for key in ("name", "label", "predicted")
        )
        mistakes.append(Mistake(name, label, predicted, share(fact(entry, "confidence")), uri))
    return tuple(mistakes)
