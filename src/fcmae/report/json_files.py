"""What a run writes as JSON, read as far as it is there and whole."""

import json
import math
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fcmae.report.curves import Array


class Columns:
    """Columns of numbers that grow by a line; half a million lines stay a few megabytes."""

    def __init__(self, *names: str) -> None:
        self._columns = {name: array("d") for name in names}

    def add(self, line: Mapping[str, object]) -> None:
        """Append the numbers of a line, NaN where it lacks one."""
        for name, column in self._columns.items():
            column.append(number(line.get(name)))

    def arrays(self) -> dict[str, Array]:
        """The columns [N] by name, in ascending order of step; without a step no line counts."""
        columns = {name: np.array(column) for name, column in self._columns.items()}
        order = np.argsort(columns["step"], kind="stable")
        order = order[np.isfinite(columns["step"][order])]
        return {name: column[order] for name, column in columns.items()}


def lines(path: Path) -> Iterator[dict[str, object]]:
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


def value(path: Path) -> object:
    """What a .json file holds; None where it is absent or no JSON."""
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def fact(content: object, *path: str) -> object:
    """A value inside nested objects; None where there is none."""
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def number(content: object) -> float:
    """A number as it is, anything else as NaN."""
    return float(content) if isinstance(content, (int, float)) else math.nan


def share(content: object) -> float:
    """A number from 0 to 1 as it is, anything else as NaN."""
    found = number(content)
    return found if 0 <= found <= 1 else math.nan


def entries(content: object) -> list[object]:
    """A list as it is, anything else as an empty one."""
    return content if isinstance(content, list) else []


def pairs(content: object) -> tuple[tuple[str, str], ...]:
    """The pairs of a list [[name, reason], ...]; what is none is passed over."""
    return tuple(
        (str(pair[0]), str(pair[1]))
        for pair in entries(content)
        if isinstance(pair, list) and len(pair) == 2
    )
