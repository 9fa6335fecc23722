"""What a run writes as JSON, read as far as it is there and whole."""

import dataclasses
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

Line = Mapping[str, object]
Columns = TypeVar("Columns")


def columns(kind: type[Columns], found: Iterable[Line]) -> Columns:
    """The numbers of lines in ascending order of step; NaN where a line lacks one.

    Args:
        kind: a dataclass of arrays [N]; half a million lines stay a few megabytes.
        found: lines with fields of the same names; without a step a line does not count.
    """
    assert dataclasses.is_dataclass(kind)
    read = {field.name: array("d") for field in dataclasses.fields(kind)}
    for line in found:
        for name, column in read.items():
            column.append(number(line.get(name)))
    arrays = {name: np.array(column) for name, column in read.items()}
    order = np.argsort(arrays["step"], kind="stable")
    order = order[np.isfinite(arrays["step"][order])]
    return kind(**{name: column[order] for name, column in arrays.items()})


def lines(path: Path) -> Iterator[Line]:
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
