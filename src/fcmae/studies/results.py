"""The rows of a study by what they compare: values over seeds, as numbers, words and series."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fcmae.report.charts import Series

Row = dict[str, Any]  # as in results.json
Measure = Callable[[Row], float | None]  # a number of a row, None where it has none


def accuracy(row: Row) -> float | None:
    """In per cent."""
    return 100 * row["accuracy"] if "accuracy" in row else None


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured so far.

    Attributes:
        rows: their "name" says what they compare.
        scale: what results.json says of the scale.
        order: of the names, as a key to sort by.
    """

    rows: Sequence[Row]
    scale: Mapping[str, Any]
    order: Callable[[str], float] = lambda _: 0

    def by_seed(self, measure: Measure = accuracy) -> dict[str, dict[int, float]]:
        """The values under each name, by seed; those of unstable rows alone have none."""
        found: dict[str, dict[int, float]] = {row["name"]: {} for row in self.rows}
        for row in self.rows:
            value = measure(row)
            if value is not None:
                found[row["name"]][row["seed"]] = value
        return found

    def by_name(self, measure: Measure = accuracy) -> dict[str, list[float]]:
        """As `by_seed`, without the seeds, and in order."""
        values = self.by_seed(measure)
        return {name: list(values[name].values()) for name in sorted(values, key=self.order)}

    def values(self, name: str, measure: Measure = accuracy) -> list[float]:
        """Those of one name."""
        return self.by_name(measure).get(name, [])

    def failures(self, name: str) -> str:
        """Where training stopped being a number, of the seeds with this name; empty for nowhere."""
        found = [(row["unstable"], row["seed"]) for row in self.rows if row["name"] == name]
        return "; ".join(
            f"unstable in {one['doing']} at step {one['step']} (seed {seed})"
            for one, seed in found
            if one
        )


def mean(values: Sequence[float]) -> float | None:
    """None of none."""
    return statistics.mean(values) if values else None


def deviation(values: Sequence[float]) -> float | None:
    """One standard deviation over seeds; None of fewer than two."""
    return statistics.stdev(values) if len(values) > 1 else None


def difference(value: float | None, other: float | None) -> float | None:
    """None where one of the two is missing."""
    return None if value is None or other is None else value - other


def in_words(values: Sequence[float], digits: int = 1) -> str:
    """`84.3 ± 0.2`: mean and deviation; a dash for none."""
    if not values:
        return "–"
    around = deviation(values)
    words = f"{statistics.mean(values):.{digits}f}"
    return words if around is None else f"{words} ± {around:.{digits}f}"


def counted(values: Sequence[float], digits: int = 1) -> str:
    """`84.3 ± 0.2 (3)`: with the number of seeds too."""
    words = in_words(values, digits)
    return f"{words} ({len(values)})" if values else words


def series(label: str, values: Iterable[Sequence[float]]) -> Series:
    """Means at each place of a figure, with one standard deviation over seeds around them."""
    values = list(values)
    return Series(label, label, tuple(map(mean, values)), tuple(map(deviation, values)))
