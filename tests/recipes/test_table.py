from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import pytest

from fcmae.recipes.table import Erratum, Table, by, sweep


@dataclass(frozen=True, kw_only=True)
class Setting:
    rate: float
    epochs: int


def table(**rows: Any) -> Table[Setting]:
    return Table(Setting, source="Table 0", title="a test", columns="AB", **rows)


def test_a_column_resolves_sizes_and_errata() -> None:
    wrong = Erratum(1.0, use=0.1, because="a slip")
    small = table(rate=by(A=wrong, B=0.2), epochs=3)
    assert small["A"] == Setting(rate=0.1, epochs=3)
    assert small["B"] == Setting(rate=0.2, epochs=3)
    assert (small.printed("rate", "A"), small.cell("rate", "A")) == (1.0, wrong)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"rate": 1.0}, "rows"),
        ({"epochs": 1, "rate": 1.0}, "rows"),
        ({"rate": by(A=1.0), "epochs": 1}, "rate covers"),
    ],
)
def test_a_table_has_the_papers_rows_and_every_size(rows: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"Table 0: {message}"):
        table(**rows)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="Table 0 has no column 'C'; it has A, B"):
        table(rate=1.0, epochs=1)["C"]


def test_a_size_is_given_once() -> None:
    assert by(AB=1, C=2).cells == {"A": 1, "B": 1, "C": 2}
    with pytest.raises(ValueError, match="a size is given twice"):
        by(AB=1, B=2)


def test_a_sweep_is_a_frozen_value() -> None:
    swept = sweep(0.9, 0.95)
    assert swept.values == (0.9, 0.95)
    assert swept == sweep(0.9, 0.95) != sweep(0.95, 0.9)
    with pytest.raises(FrozenInstanceError):
        swept.values = (0.9,)  # type: ignore[misc]


@pytest.mark.parametrize("values", [(), (0.9,), (0.9, 0.9)])
def test_a_sweep_needs_different_values(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="two values or more are needed, each once"):
        sweep(*values)
