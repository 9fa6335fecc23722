"""The validations of a fine-tuning run, read from its folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcmae.report import json_files
from fcmae.report.json_files import Line, entries, fact, number, share
from fcmae.report.pictures import BUDGET, picture
from fcmae.report.run import Run
from fcmae.report.statistics import Array, finite


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

    @property
    def averaged(self) -> bool:
        """Whether the run averages its weights."""
        return len(finite(self.step, self.average_accuracy)[0]) > 0

    @property
    def deciding(self) -> Array:
        """The accuracy that decides which epoch is best: [V]."""
        return self.average_accuracy if self.averaged else self.accuracy


class Best(NamedTuple):
    """The best validation of a run."""

    epoch: float  # NaN where unknown
    averaged: bool  # whether of the averaged weights
    accuracy: float  # 0 to 1
    top_5: float  # NaN where there are five classes or fewer
    images: int  # that could be read; 0 where unknown


class Mistake(NamedTuple):
    """An image that was taken for another class."""

    name: str
    label: str
    predicted: str
    confidence: float  # 0 to 1
    picture: str | None  # a data URI


@dataclass(frozen=True)
class Results:
    """All validations, and the details of the best of them; K classes."""

    validations: Validations
    best: Best | None  # None before the first validation
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


def read_results(run: Run) -> Results:
    """Read what a run has of them; what is missing is NaN or empty."""
    found = json_files.value(run.folder / "validation.json")
    lines = map(_flat, run.others.get("validation", []))
    validations = json_files.columns(Validations, lines)
    classes = tuple(str(name) for name in entries(fact(found, "classes")))
    confusion = _counts(fact(found, "confusion"), len(classes), len(classes))
    stated = run.number("data", "val_images")
    images = int(confusion.sum()) or (int(stated) if math.isfinite(stated) else 0)
    return Results(
        validations=validations,
        best=_best(found, validations, images),
        calibration_error=share(fact(found, "calibration_error")),
        classes=classes,
        train_images=_counts(fact(found, "train_images"), len(classes)),
        confusion=confusion,
        mistakes=_mistakes(entries(fact(found, "mistakes")), run.folder / "mistakes"),
        unreadable=json_files.pairs(fact(found, "unreadable")),
    )


def _flat(line: Line) -> Mapping[str, object]:
    """A line of metrics.jsonl with the averaged weights' measures beside the model's."""
    average = line.get("average")
    return {
        **line,
        "accuracy": share(line.get("accuracy")),
        "top_5": share(line.get("top_5")),
        "average_loss": fact(average, "loss"),
        "average_accuracy": share(fact(average, "accuracy")),
        "average_top_5": share(fact(average, "top_5")),
    }


def _best(found: object, validations: Validations, images: int) -> Best | None:
    """The epoch whose weights the run keeps, as validation.json has it; None before the first.

    Without that file it is found again as the run found it: the first of the highest accuracies, of
    the averaged weights where there are any.
    """
    accuracy, top_5 = share(fact(found, "accuracy")), share(fact(found, "top_5"))
    if math.isfinite(accuracy):
        averaged = fact(found, "of") == "average"
        return Best(number(fact(found, "epoch")), averaged, accuracy, top_5, images)
    epochs, accuracies = finite(validations.epoch, validations.deciding)
    if len(accuracies) == 0:
        return None
    highest = int(accuracies.argmax())
    return Best(
        float(epochs[highest]), validations.averaged, float(accuracies[highest]), math.nan, images
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
