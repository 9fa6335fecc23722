"""Tables and settings as rows of text, for a terminal or a page.

Cells are in the words of the paper: '2e-4', '0.05 (F), 0.3 (A/P/N)', '{0.9, 0.95}'.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fcmae.console.units import scientific
from fcmae.recipes.lookup import COLUMNS
from fcmae.recipes.table import By, Erratum, Sweep, Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_SIZES = {letter: f"{name.capitalize()} ({letter})" for name, letter in COLUMNS.items()}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, rows of the same number of texts, and lines below them."""

    title: str
    rows: list[tuple[str, ...]]
    notes: list[str]


def table_section(table: Table[Any], size: str | None = None) -> Section:
    """A table as printed, or its column for the letter `size`.

    Below it stand the learning rate that follows from the batch size (section A.2), and the errata.
    """
    cells = {name: table.cell(name, size) if size else cell for name, cell in table.rows.items()}
    errata = {
        value: name
        for name, cell in cells.items()
        for value in (cell.cells.values() if isinstance(cell, By) else [cell])
        if isinstance(value, Erratum)
    }
    rate = cell_text("learning_rate", _learning_rate(table, size or table.columns))
    return Section(
        f"{table.source}: {table.title}; {_sizes(size or table.columns)}",
        [(label(name), cell_text(name, cell, list(errata))) for name, cell in cells.items()],
        [
            f"learning rate = base learning rate × batch size / 256 = {rate}",
            *(f"[{i}] {_erratum(name, one)}" for i, (one, name) in enumerate(errata.items(), 1)),
        ],
    )


def settings_section(title: str, settings: "DataclassInstance", size: str | None = None) -> Section:
    """Settings that are no table; sources of fields that have one make a third text of each row."""
    rows = []
    for field in fields(settings):
        cell = getattr(settings, field.name)
        cell = cell[size] if size and isinstance(cell, By) else cell
        rows.append((label(field.name), cell_text(field.name, cell), *field.metadata.values()))
    return Section(title, rows, [])


def _sizes(columns: str) -> str:
    every = len(columns) == len(_SIZES)
    return "every size" if every else ", ".join(_SIZES[size] for size in columns)


def _learning_rate(table: Table[Any], columns: str) -> object:
    recipes = {size: table[size] for size in columns}
    rates = {size: one.base_learning_rate * one.batch_size / 256 for size, one in recipes.items()}
    return By(rates) if len(set(rates.values())) > 1 else rates[columns[0]]


def _erratum(name: str, erratum: Erratum) -> str:
    printed, used = cell_text(name, erratum.printed), cell_text(name, erratum.use)
    how = "printed and used" if used == printed else f"printed {printed}, used"
    return f"{how} {used}: {erratum.because}"


def label(name: str) -> str:
    """A field's name as the paper heads its row."""
    return name.replace("_", " ").replace("layer wise", "layer-wise")


def cell_text(name: str, cell: object, errata: Sequence[Erratum] = ()) -> str:
    """The `cell` of row `name` as the paper prints it.

    Args:
        name: the field; it decides how pairs and learning rates are written.
        cell: a value, or one `By` size, of a `Sweep`, or an `Erratum`, which reads as printed.
        errata: those that are footnoted; the first one's cells are marked [1].
    """
    if isinstance(cell, By):
        groups = groupby(cell.cells, key=lambda size: cell[size])
        return ", ".join(
            f"{cell_text(name, value, errata)} ({'/'.join(sizes)})" for value, sizes in groups
        )
    if isinstance(cell, Erratum):
        mark = f" [{errata.index(cell) + 1}]" if cell in errata else ""
        return cell_text(name, cell.printed) + mark
    if isinstance(cell, Sweep):
        return "{" + _listed(name, cell.values) + "}"
    if isinstance(cell, tuple):
        return _tuple(name, cell)
    return _scalar(name, cell)


def _tuple(name: str, values: tuple[object, ...]) -> str:
    if name == "optimizer_momentum":
        return f"β1, β2 = {_listed(name, values)}"
    if name == "training_epochs":
        return " or ".join(str(value) for value in values)
    if name.endswith("resolution"):
        return " × ".join(str(value) for value in values)
    if isinstance(values[0], str):
        return f"{values[0]} ({_listed(name, values[1:])})"
    return f"[{_listed(name, values)}]"


def _listed(name: str, values: Sequence[object]) -> str:
    return ", ".join(_scalar(name, value) for value in values)


def _scalar(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value and ("learning_rate" in name or value < 1e-3):
        return scientific(value, digits=7)
    if name.endswith("iterations") and isinstance(value, int) and value >= 10_000:
        return f"{value // 1000}K"
    return str(value)
