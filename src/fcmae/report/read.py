"""A run folder, read as far as it is written.

A report is also made of runs that have just begun, that were killed, or that were resumed on
another machine, so every part may be missing. What is missing is empty here, never an error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fcmae.report import json_files
from fcmae.report.curves import Array
from fcmae.report.json_files import Columns, entries, fact, number, share
from fcmae.report.pictures import Pictures, read_pictures
from fcmae.report.validation import (
    Outcome,
    Stop,
    Validations,
    read_outcome,
    validation_columns,
    validation_line,
)


@dataclass(frozen=True)
class Steps:
    """The logged steps, ascending; every array is [N], NaN where a line lacks the value."""

    step: Array
    epoch: Array
    loss: Array
    learning_rate: Array


@dataclass(frozen=True)
class Epochs:
    """The mean loss of every finished epoch; every array is [E]."""

    step: Array
    epoch: Array
    loss: Array


@dataclass(frozen=True)
class Look:
    """The feature diversity of every block after an epoch: mean of (1 - cosine) / 2."""

    epoch: float
    distances: Mapping[str, float]  # by block, "stages.0.0" first


@dataclass(frozen=True)
class Probes:
    """kNN accuracies as the run went on; every array is [P], ascending, without gaps."""

    step: Array
    epoch: Array
    k: Array
    accuracy: Array  # 0 to 1
    train_images: Array  # among which neighbours were looked for
    images: Array  # that were classified


@dataclass(frozen=True)
class Timing:
    """How fast the run was; every array is [N], ascending in step."""

    step: Array
    images_per_second: Array
    waiting: Array  # share of the time, 0 to 1
    seconds: float  # of the whole run, before and after every resume
    peak_memory: float  # bytes, NaN where unknown


@dataclass(frozen=True)
class Run:
    """All that a report shows."""

    folder: Path
    config: Mapping[str, object]
    steps: Steps
    epochs: Epochs
    validations: Validations
    probes: Probes
    looks: tuple[Look, ...]
    stop: Stop | None
    timing: Timing
    unreadable: tuple[tuple[str, str], ...]  # name, reason
    pictures: Pictures
    outcome: Outcome

    def fact(self, *path: str) -> object:
        """A value of the configuration, `fact("model", "name")`; None where there is none."""
        return fact(self.config, *path)

    def number(self, *path: str) -> float:
        """A number of the configuration; NaN where there is none."""
        return number(self.fact(*path))

    @property
    def last_step(self) -> float:
        """The last step logged, 0 before the first."""
        return float(max([0.0, *self.steps.step[-1:], *self.epochs.step[-1:]]))

    @property
    def finished(self) -> bool:
        """Whether all the steps that were asked for are done, or the run ended before them."""
        done = self.last_step >= self.number("steps")  # False where the number is unknown
        return done or self.stop is not None


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        ValueError: if `folder` holds no `config.json`, which a run writes before anything else.
    """
    config = json_files.value(folder / "config.json")
    if not isinstance(config, dict):
        raise ValueError(
            f"run {str(folder)!r} holds no readable config.json: name the folder given as --out"
        )
    sides = [side for side in entries(config.get("image_size")) if isinstance(side, int)]
    height, width = sides if len(sides) == 2 else (0, 0)
    outcome = read_outcome(folder)
    unreadable = json_files.pairs(json_files.value(folder / "unreadable.json"))
    return Run(
        folder,
        config,
        *_read_metrics(folder / "metrics.jsonl"),
        _read_timing(folder / "timing.jsonl"),
        tuple(dict.fromkeys(unreadable + outcome.unreadable)),  # a file may be in both lists
        read_pictures(folder / "reconstructions", height, width),
        outcome,
    )


def _read_metrics(
    path: Path,
) -> tuple[Steps, Epochs, Validations, Probes, tuple[Look, ...], Stop | None]:
    steps = Columns("step", "epoch", "loss", "learning_rate")
    epochs = Columns("step", "epoch", "loss")
    validations = validation_columns()
    probes = Columns("step", "epoch", "k", "accuracy", "train_images", "images")
    looks: list[Look] = []
    stop = None
    for line in json_files.lines(path):
        match line.get("kind"):
            case "step":
                steps.add(line)
            case "epoch":
                epochs.add(line)
            case "validation":
                validations.add(validation_line(line))
            case "probe" if (probe := _probe(line)) is not None:
                probes.add(probe)
            case "look":
                looks.append(_look(line))
            case "stop":
                stop = Stop(number(line.get("epoch")), str(line.get("because") or ""))
    return (
        Steps(**steps.arrays()),
        Epochs(**epochs.arrays()),
        Validations(**validations.arrays()),
        Probes(**probes.arrays()),
        tuple(looks),
        stop,
    )


def _probe(line: Mapping[str, object]) -> dict[str, object] | None:
    """A line's measurement; None where a part of it is missing, which leaves nothing to show."""
    images = [number(count) for count in entries(line.get("images"))]
    epoch, k, accuracy = number(line.get("epoch")), number(line.get("k")), share(line.get("top_1"))
    if len(images) != 2 or not all(map(math.isfinite, (*images, epoch, k, accuracy))):
        return None
    if images[1] < 1:
        return None
    found = {"step": line.get("step"), "epoch": epoch, "k": k, "accuracy": accuracy}
    return {**found, "train_images": images[0], "images": images[1]}


def _look(line: Mapping[str, object]) -> Look:
    distances = {
        str(block.get("block")): number(block.get("distance"))
        for block in entries(line.get("diversity"))
        if isinstance(block, dict)
    }
    return Look(number(line.get("epoch")), distances)


def _read_timing(path: Path) -> Timing:
    columns = Columns("step", "images_per_second", "waiting")
    seconds = memory = 0.0
    for line in json_files.lines(path):
        columns.add(line)
        now = number(line.get("seconds"))
        seconds = max(seconds, now) if math.isfinite(now) else seconds
        peak = number(line.get("peak_memory"))
        memory = max(memory, peak) if math.isfinite(peak) else memory
    return Timing(**columns.arrays(), seconds=seconds, peak_memory=memory or math.nan)
