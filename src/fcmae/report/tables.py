"""The tables of a report: departures from the recipe, and everything that decided the run."""

from collections.abc import Mapping
from dataclasses import dataclass

from fcmae.console import units
from fcmae.report.read import Run

MOST_UNREADABLE = 1000  # rows; the run folder has them all


@dataclass(frozen=True)
class Departure:
    """A field of the recipe that this run changes."""

    field: str
    table: str
    run: str
    because: str


def departures(run: Run) -> list[Departure]:
    """The run's departures from its table of the paper."""
    rows = run.fact("departures")
    return [
        Departure(
            str(row.get("field", "")),
            units.cell(row.get("table")),
            units.cell(row.get("run")),
            str(row.get("because") or ""),
        )
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, Mapping)
    ]


def configuration(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """The run's config.json as titled tables of names and values; empty ones are left out.

    So are the plan and the probe: they say for a resume what the other parts say for a reader.
    """
    elsewhere = ("command", "departures", "recipe", "versions", "options", "plan", "probe")
    tables = [
        ("Configuration", _rows({k: v for k, v in run.config.items() if k not in elsewhere})),
        ("Options", _rows(run.fact("options"))),
        ("Recipe, as this run used it", _rows(run.fact("recipe"))),
        ("Versions", _rows(run.fact("versions"))),
    ]
    return [(title, rows) for title, rows in tables if rows]


def _rows(values: object, prefix: str = "") -> list[tuple[str, str]]:
    """Names and values; a nested mapping's names are joined with a dot."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", units.cell(value)))
    return rows
