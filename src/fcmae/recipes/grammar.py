"""Cells in the words of the paper: '2e-4', '0.05 (F), 0.3 (A/P/N)', '{0.9, 0.95}'."""

from collections.abc import Sequence
from itertools import groupby

from fcmae.recipes.table import By, Erratum, Sweep


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
        mantissa, exponent = f"{value:e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if name.endswith("iterations") and isinstance(value, int) and value >= 10_000:
        return f"{value // 1000}K"
    return str(value)
