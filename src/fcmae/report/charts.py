"""A chart as data: panels of series over an axis, drawn into pages and into files alike."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from fcmae.report.axes import Axis, linear_axis, log_axis
from fcmae.report.statistics import Array

HEIGHT = 3.4  # inches, of a row of panels in a file
FEW = 30  # places that have a mark each
TICKS = 5  # about so many on an axis
CLOSEST = 0.08  # of an axis, from one tick to the next
WIDE_RANGE = 20  # beyond this ratio of the largest to the smallest value, an axis is logarithmic

Values = Sequence[float | None] | Array


class Style(StrEnum):
    """How a page's style sheet draws a series: light on dark paper, and dark on light."""

    STRONG = "strong"
    CALM = "calm"
    FAINT = "faint"
    FIRST = "first"  # what the others are compared with
    SECOND = "second"
    SECOND_BEST = "second best"
    THIRD = "third"
    THIRD_BEST = "third best"


class Look(NamedTuple):
    """How a series is drawn, in the terms of matplotlib."""

    colour: str
    marker: str
    line: str


# What each mode looks like everywhere: ours stands out.
LOOKS: Mapping[str, Look] = {
    "tiled": Look("#1c5bc4", "o", "-"),
    "dense": Look("#6d7178", "s", "-"),
    "masked": Look("#b3803a", "^", "-"),
    "timm": Look("#9a5ba5", "D", "-"),
    "limit": Look("#1c5bc4", "", ":"),
}
PAPER, INK, RULE = "#fbfbf9", "#1a1c1f", "#e4e4df"
# For all other names, one after the other; the colours differ to the colour-blind too.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
MARKERS = "os^DvPX"


@dataclass(frozen=True, slots=True)
class Series:
    """A curve, marks alone, or bars of one colour: a value at each place, None where there is none.

    Args:
        style: a page's, of `LOOKS`, or any name, which has a look of its own in the chart.
        label: what the legend calls it; without one it is not in the legend.
        values: [N].
        spread: [N], half the height of the band around a curve or of the whisker on a bar.
        places: [N], of a curve's own, where they are not the panel's.
        end: what stands at its right end.
        marks: whether there are marks alone, and no line between them.
        tips: [N], what a pointer over a mark shows; a line that has them has marks too.
    """

    style: Style | str
    label: str
    values: Values
    spread: Values | None = None
    places: Values | None = None
    end: str = ""
    marks: bool = False
    tips: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot; later series are drawn over earlier ones.

    An axis that is not given is fitted: from zero, or logarithmic where few places have a wide
    range of values; or, with `from_zero` false, from about the least value to the greatest. Bars
    always start at zero.
    """

    title: str
    across: str  # the name of the horizontal axis
    places: tuple[float | str, ...] = ()  # numbers are drawn to scale, names side by side
    series: tuple[Series, ...] = ()
    from_zero: bool = True
    x: Axis | None = None
    y: Axis | None = None
    height: int = 260  # pixels, on a desktop


@dataclass(frozen=True)
class Chart:
    """Rows of panels from the top down, from left to right; every row has as many.

    Args:
        rows: the panels.
        bars: groups of bars, from zero, rather than lines.
        height: of a row in a file, in inches; the figure is 9 wide.
        description: what a screen reader says in place of the drawing.
    """

    rows: Sequence[Sequence[Panel]]
    bars: bool = False
    height: float = HEIGHT
    description: str = ""

    @property
    def series(self) -> list[Series]:
        """Those of all panels."""
        return [series for row in self.rows for panel in row for series in panel.series]


def looks(names: Iterable[str]) -> dict[str, Look]:
    """The look of each name: its own, or the next that is free; once round, lines are dashed."""
    others = [name for name in dict.fromkeys(names) if name not in LOOKS]
    return {**LOOKS} | {
        name: Look(
            COLOURS[number % len(COLOURS)],
            MARKERS[number % len(MARKERS)],
            "-" if number < len(COLOURS) else "--",
        )
        for number, name in enumerate(others)
    }


def figures(value: float) -> str:
    """Three figures, or a whole number with thousands separated: `0.452`, `1,914`."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def numbers(values: Iterable[float | None]) -> Array:
    """Values with NaN where there is none: [N]."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def places_of(panel: Panel, series: Series) -> Array:
    """Where the values of a series stand on the panel's horizontal axis: [N]."""
    if series.places is not None:
        return numbers(series.places)
    if any(isinstance(place, str) for place in panel.places):
        return np.arange(len(panel.places), dtype=np.float64)
    return np.array(panel.places, dtype=np.float64)


def axes_of(panel: Panel, *, bars: bool) -> tuple[Axis, Axis]:
    """The panel's horizontal and its vertical axis, fitted where they are not given."""
    return panel.x or _fitted_across(panel, bars), panel.y or _fitted_upright(panel, bars)


def _fitted_across(panel: Panel, bars: bool) -> Axis:
    """Every place has a tick, except where two would touch; of a dense grid a few round ones."""
    number = len(panel.places)
    if bars or any(isinstance(place, str) for place in panel.places):
        stride = 1 if number <= FEW else math.ceil(number / TICKS)
        names = enumerate(map(_name, panel.places))
        return Axis(-0.5, max(number, 1) - 0.5, tuple(names)[::stride])
    shared = np.array(panel.places, dtype=np.float64)
    places = np.concatenate([shared, *(places_of(panel, series) for series in panel.series)])
    low, high = (float(places.min()), float(places.max())) if len(places) else (0.0, 1.0)
    fitted = linear_axis(low, high, TICKS, exact=True)
    if number > FEW:
        return fitted
    ticks: list[tuple[float, str]] = []
    for place in np.unique(shared).tolist():
        if not ticks or place - ticks[-1][0] >= CLOSEST * (fitted.high - fitted.low):
            ticks.append((place, _name(place)))
    return Axis(fitted.low, fitted.high, tuple(ticks))


def _fitted_upright(panel: Panel, bars: bool) -> Axis:
    values = np.concatenate([[], *(numbers(series.values) for series in panel.series)])
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return linear_axis(0, 1, TICKS)
    least, greatest = float(values.min()), float(values.max())
    few = len(panel.places) <= FEW and not bars
    if panel.from_zero and few and greatest > WIDE_RANGE * least > 0:
        return log_axis(least, greatest, TICKS)
    around = np.concatenate([[least, greatest], *map(_band, panel.series)])
    low, high = float(np.nanmin(around)), float(np.nanmax(around))
    if bars or (panel.from_zero and least >= 0):
        return linear_axis(min(0.0, low) if least < 0 else 0.0, max(0.0, high), TICKS)
    return linear_axis(low, high, TICKS)


def _band(series: Series) -> Array:
    """Both edges of what is drawn around the values of a series; none without a spread."""
    if series.spread is None:
        return np.empty(0)
    values, spread = numbers(series.values), numbers(series.spread)
    return np.concatenate([values - spread, values + spread])


def _name(place: float | str) -> str:
    return place if isinstance(place, str) else f"{place:g}"
