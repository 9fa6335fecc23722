"""In what a run is not the paper's, and why."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Departure:
    """A field in which the run is not as the paper has it."""

    field: str
    table: object
    run: object
    because: str


def departures(
    compared: Iterable[tuple[str, object, object, str]],
) -> tuple[Departure, ...]:
    """Of (field, table, run, because), those in which the two values differ."""
    return tuple(
        Departure(field, table, run, because)
        for field, table, run, because in compared
        if run != table
    )
