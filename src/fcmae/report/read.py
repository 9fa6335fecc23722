"""A run folder, read as far as it is written.

A report is also made of runs that have just begun, that were killed, or that were resumed on
another machine, so every part may be missing. What is missing is empty here, never an error.
"""

import json
import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fcmae.report.curves import Array
from fcmae.report.pictures import Pictures, read_pictures


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
    looks: tuple[Look, ...]
    timing: Timing
    unreadable: tuple[tuple[str, str], ...]  # name, reason
    pictures: Pictures

    def fact(self, *path: str) -> object:
        """A value of the configuration, `fact("model", "name")`; None where there is none."""
        return _fact(self.config, *path)

    def number(self, *path: str) -> float:
        """A number of the configuration; NaN where there is none."""
        return _number(self.fact(*path))

    @property
    def last_step(self) -> float:
        """The last step logged, 0 before the first."""
        return float(max([0.0, *self.steps.step[-1:], *self.epochs.step[-1:]]))

    @property
    def finished(self) -> bool:
        """Whether all the steps that were asked for are done."""
        return self.last_step >= self.number("steps")  # False where the number is unknown


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        ValueError: if `folder` holds no `config.json`, which a run writes before anything else.
    """
    config = _json(folder / "config.json")
    if not isinstance(config, dict):
        raise ValueError(
            f"run {str(folder)!r} holds no readable config.json: name the folder given as --out"
        )
    steps, epochs, looks = _read_metrics(folder / "metrics.jsonl")
    size = _fact(config, "image_size")
    sides = [side for side in size if isinstance(side, int)] if isinstance(size, list) else []
    height, width = sides if len(sides) == 2 else (0, 0)
    return Run(
        folder,
        config,
        steps,
        epochs,
        looks,
        _read_timing(folder / "timing.jsonl"),
        _read_unreadable(folder / "unreadable.json"),
        read_pictures(folder / "reconstructions", height, width),
    )


def _read_metrics(path: Path) -> tuple[Steps, Epochs, tuple[Look, ...]]:
    steps = _Table("step", "epoch", "loss", "learning_rate")
    epochs = _Table("step", "epoch", "loss")
    looks: list[Look] = []
    for line in _lines(path):
        match line.get("kind"):
            case "step":
                steps.add(line)
            case "epoch":
                epochs.add(line)
            case "look":
                looks.append(_look(line))
    return Steps(**steps.columns()), Epochs(**epochs.columns()), tuple(looks)


def _look(line: Mapping[str, object]) -> Look:
    blocks = line.get("diversity")
    distances = {
        str(block.get("block")): _number(block.get("distance"))
        for block in (blocks if isinstance(blocks, list) else [])
        if isinstance(block, dict)
    }
    return Look(_number(line.get("epoch")), distances)


def _read_timing(path: Path) -> Timing:
    table = _Table("step", "images_per_second", "waiting")
    seconds = memory = 0.0
    for line in _lines(path):
        table.add(line)
        now = _number(line.get("seconds"))
        seconds = max(seconds, now) if math.isfinite(now) else seconds
        peak = _number(line.get("peak_memory"))
        memory = max(memory, peak) if math.isfinite(peak) else memory
    return Timing(**table.columns(), seconds=seconds, peak_memory=memory or math.nan)


def _read_unreadable(path: Path) -> tuple[tuple[str, str], ...]:
    pairs = _json(path)
    return tuple(
        (str(pair[0]), str(pair[1]))
        for pair in (pairs if isinstance(pairs, list) else [])
        if isinstance(pair, list) and len(pair) == 2
    )


class _Table:
    """Columns of numbers that grow by a line; half a million lines stay a few megabytes."""

    def __init__(self, *names: str) -> None:
        self._columns = {name: array("d") for name in names}

    def add(self, line: Mapping[str, object]) -> None:
        for name, column in self._columns.items():
            column.append(_number(line.get(name)))

    def columns(self) -> dict[str, Array]:
        """The columns [N] by name, in ascending order of step; without a step no line counts."""
        columns = {name: np.array(column) for name, column in self._columns.items()}
        order = np.argsort(columns["step"], kind="stable")
        order = order[np.isfinite(columns["step"][order])]
        return {name: column[order] for name, column in columns.items()}


def _lines(path: Path) -> Iterator[dict[str, object]]:
    """The objects of a .jsonl file; a line that a killed process left half written is no line."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                yield line


def _json(path: Path) -> object:
    try:
        value: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value


def _fact(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
