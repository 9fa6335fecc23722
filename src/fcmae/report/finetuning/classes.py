"""What became of the classes: their accuracies, their sizes, and what they were taken for."""

import math
from dataclasses import dataclass

import numpy as np

from fcmae.console import units
from fcmae.report.curves import Array
from fcmae.report.read import Run

MOST_CELLS = 30  # classes of a matrix that can be read
MOST_CONFUSIONS = 20
MOST_OPEN = 20  # rows before a table is folded
MOST_ROWS = 1000  # the run folder has them all
IMBALANCED = 3  # times as many images in the largest class as in the smallest


@dataclass(frozen=True)
class ClassRow:
    """How the images of one class fared."""

    name: str
    share: float  # right of them, 0 to 1
    accuracy: str
    right: str  # "42 of 50"
    mistaken_for: str  # the class most often said instead, empty where there is none


@dataclass(frozen=True)
class SizeRow:
    """How many training images a class has."""

    name: str
    share: float  # of the largest class
    images: str


@dataclass(frozen=True)
class Cell:
    """One class taken for another, in the matrix."""

    text: str
    depth: float  # of its colour, 0 to 1
    look: str  # its class on the page
    tip: str


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix as it is drawn."""

    classes: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    measure: str  # what the cells' numbers are


@dataclass(frozen=True)
class Confusion:
    """A class taken for another."""

    label: str
    predicted: str
    images: str
    share: str  # of the images of its class


def class_rows(run: Run) -> list[ClassRow]:
    """The accuracy of every class that has validation images, worst first."""
    outcome = run.outcome
    images, right = outcome.images, outcome.confusion.diagonal()
    wrong = outcome.confusion - np.diag(right)
    rows = [
        ClassRow(
            name,
            share := float(right[place] / images[place]),
            units.accuracy(share),
            f"{units.count(right[place])} of {units.count(images[place])}",
            _most(wrong[place], outcome.classes),
        )
        for place, name in enumerate(outcome.classes[: len(images)])
        if images[place]
    ]
    return sorted(rows, key=lambda row: row.share)


def size_rows(run: Run) -> list[SizeRow]:
    """The training images of every class, most first, where their numbers are far apart."""
    counts = run.outcome.train_images
    if len(counts) == 0 or counts.max() <= IMBALANCED * counts.min():
        return []
    order = np.argsort(-counts, kind="stable")
    return [
        SizeRow(
            run.outcome.classes[place],
            float(counts[place] / counts.max()),
            units.count(counts[place]),
        )
        for place in order
    ]


def matrix(run: Run) -> Matrix | None:
    """The confusion matrix; None of more classes than can be read, or of none."""
    classes, counts = run.outcome.classes, run.outcome.confusion
    if not 0 < len(counts) <= MOST_CELLS:
        return None
    small = counts.max() < 1000  # three digits fit into a cell
    rows = tuple(
        tuple(_cell(run, label, predicted, small) for predicted in range(len(classes)))
        for label in range(len(classes))
    )
    return Matrix(classes, rows, "images" if small else "per cent of the row")


def confusions(run: Run) -> list[Confusion]:
    """The most frequent confusions of one class with another."""
    classes, counts = run.outcome.classes, run.outcome.confusion
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    places = [divmod(int(place), len(counts)) for place in order]
    return [
        Confusion(
            classes[label],
            classes[predicted],
            units.count(wrong[label, predicted]),
            units.percent(float(wrong[label, predicted] / counts[label].sum())),
        )
        for label, predicted in places
        if wrong[label, predicted]
    ]


def _cell(run: Run, label: int, predicted: int, small: bool) -> Cell:
    classes, counts = run.outcome.classes, run.outcome.confusion
    count, total = counts[label, predicted], counts[label].sum()
    if count == 0:
        return Cell("", 0.0, "", "")
    share = float(count / total)
    # An error of 4 % must not fade into the paper: its colour grows with the root.
    depth = share if label == predicted else math.sqrt(share)
    look = ("right" if label == predicted else "wrong") + (" deep" if depth > 0.8 else "")
    tip = (
        f"{classes[label]}, classified as {classes[predicted]}: "
        f"{units.count(count)} of {units.count(total)}"
    )
    per_cent = "<1" if share < 0.005 else f"{100 * share:.0f}"
    return Cell(units.count(count) if small else per_cent, depth, look, tip)


def _most(wrong: Array, classes: tuple[str, ...]) -> str:
    """The class most often said instead, with how often."""
    place = int(wrong.argmax())
    return f"{classes[place]} ({units.count(wrong[place])})" if wrong[place] else ""
