"""A run folder, read as far as it is written.

A report is also made of runs that have just begun, that were killed, or that were resumed on
another machine, so every part may be missing. What is missing is empty here, never an error.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fcmae.report import json_files
from fcmae.report.json_files import Line, fact, number
from fcmae.report.statistics import Array

SLOW = 0.1  # of the time spent waiting for images: from here on it pays to read them faster


@dataclass(frozen=True)
class Losses:
    """The logged steps or the epochs' means; every array is [N], ascending in step."""

    step: Array
    epoch: Array
    loss: Array
    learning_rate: Array  # NaN of an epoch


@dataclass(frozen=True)
class Timing:
    """How fast the run was; every array is [N], ascending in step."""

    step: Array
    images_per_second: Array
    waiting: Array  # share of the time, 0 to 1
    seconds: Array  # of the run until then, before and after every resume
    peak_memory: Array  # bytes


@dataclass(frozen=True)
class Stop:
    """Where a run ended before its last step, and why."""

    epoch: float
    because: str


@dataclass(frozen=True)
class Run:
    """All that runs of every task have."""

    folder: Path
    config: Mapping[str, object]
    steps: Losses
    epochs: Losses
    others: Mapping[str, Sequence[Line]]  # of metrics.jsonl, by kind: what a task looks at
    timing: Timing
    unreadable: tuple[tuple[str, str], ...]  # name, reason

    def fact(self, *path: str) -> object:
        """A value of the configuration, `fact("model", "name")`; None where there is none."""
        return fact(self.config, *path)

    def number(self, *path: str) -> float:
        """A number of the configuration; NaN where there is none."""
        return number(self.fact(*path))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width, in pixels; 0 where unknown."""
        sides = json_files.entries(self.fact("image_size"))
        known = [side for side in sides if isinstance(side, int)]
        return (known[0], known[1]) if len(known) == 2 else (0, 0)

    @property
    def stop(self) -> Stop | None:
        """What ended the run early, if anything did."""
        for line in self.others.get("stop", [])[-1:]:
            return Stop(number(line.get("epoch")), str(line.get("because") or ""))
        return None

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
    others: dict[str, list[Line]] = defaultdict(list)

    def steps() -> Iterator[Line]:
        """Those lines, one by one; all others, which are few, are kept."""
        for line in json_files.lines(folder / "metrics.jsonl"):
            if line.get("kind") == "step":
                yield line
            else:
                others[str(line.get("kind"))].append(line)

    logged = json_files.columns(Losses, steps())
    return Run(
        folder,
        config,
        logged,
        json_files.columns(Losses, others["epoch"]),
        others,
        json_files.columns(Timing, json_files.lines(folder / "timing.jsonl")),
        tuple(dict.fromkeys(json_files.pairs(json_files.value(folder / "unreadable.json")))),
    )
