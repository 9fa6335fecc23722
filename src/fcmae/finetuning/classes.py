"""Classes of a validation: their accuracies, their sizes, and which are confused."""

from typing import NamedTuple

import numpy as np

from fcmae.console import units
from fcmae.finetuning.results import Results

MOST_CONFUSIONS = 20
IMBALANCED = 3  # times as many images in the largest class as in the smallest


class ClassRow(NamedTuple):
    """The accuracy of one class."""

    name: str
    share: float  # right of them, 0 to 1
    right: str  # "42 of 50"
    mistaken_for: str  # the class most often predicted instead; empty where none is


class SizeRow(NamedTuple):
    """How many training images a class has."""

    name: str
    share: float  # of the largest class
    images: float


class Confusion(NamedTuple):
    """A class taken for another."""

    label: str
    predicted: str
    images: float
    share: float  # of the images of its class


def class_rows(results: Results) -> list[ClassRow]:
    """The accuracy of every class that has validation images, worst first."""
    right, images, rows = results.confusion.diagonal(), results.images, []
    wrong = results.confusion - np.diag(right)
    for label in np.flatnonzero(images):
        most = int(wrong[label].argmax())
        times = units.count(wrong[label, most])
        rows.append(
            ClassRow(
                results.classes[label],
                float(right[label] / images[label]),
                f"{units.count(right[label])} of {units.count(images[label])}",
                f"{results.classes[most]} ({times})" if wrong[label, most] else "",
            )
        )
    return sorted(rows, key=lambda row: row.share)


def size_rows(results: Results) -> list[SizeRow]:
    """The training images of every class, most first, where their numbers are far apart."""
    counts = results.train_images
    if len(counts) == 0 or counts.max() <= IMBALANCED * counts.min():
        return []
    order = np.argsort(-counts, kind="stable")
    return [
        SizeRow(results.classes[label], float(counts[label] / counts.max()), counts[label])
        for label in order
    ]


def confusions(results: Results) -> list[Confusion]:
    """The most frequent confusions of one class with another."""
    counts, classes = results.confusion, results.classes
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(index), len(counts)) for index in order]
    return [
        Confusion(
            classes[label],
            classes[predicted],
            wrong[label, predicted],
            float(wrong[label, predicted] / counts[label].sum()),
        )
        for label, predicted in pairs
        if wrong[label, predicted]
    ]
