"""In what a run is not the paper's, and why."""

from collections.abc import Iterable
from dataclasses import dataclass

from fcmae.console.screen import say, show_details, shown


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


def announce(
    table: str, departures: Iterable[Departure], details: Iterable[tuple[str, str]]
) -> None:
    """The plan, and what it departs from, before anything is done.

    Args:
        table: the paper's, such as "Table 1".
        departures: in what the run is not as it.
        details: names and values to show.
    """
    show_details(details)
    changed = "; ".join(f"{d.field} {shown(d.table)} -> {shown(d.run)}" for d in departures)
    say(f"{table}; departs in: {changed}" if changed else f"{table}, with no departure")
