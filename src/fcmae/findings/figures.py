"""Figures as PNG and SVG, drawn by matplotlib without touching its global state."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.0, 3.4  # inches, of a row of panels
DOTS = 160  # an inch, in the PNG
WIDE_RANGE = 20  # beyond this ratio of the largest to the smallest value, an axis is logarithmic
FEW, TICKS = 30, 6  # places that get a marker and a tick each; about so many ticks for more
ABREAST, LETTERS = 5, 120  # names in a line of the legend, and letters, at the most

Look = tuple[str, str, str]  # colour, marker, line

# What each mode looks like everywhere: ours stands out.
LOOKS: Mapping[str, Look] = {
    "tiled": ("#1c5bc4", "o", "-"),
    "dense": ("#6d7178", "s", "-"),
    "masked": ("#b3803a", "^", "-"),
    "timm": ("#9a5ba5", "D", "-"),
    "limit": ("#1c5bc4", "", ":"),
}
# For all other names, one after the other; the colours differ to the colour-blind too.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1a1c1f")
MARKERS = "os^DvPX"
PAPER, INK, RULE = "#fbfbf9", "#1a1c1f", "#e4e4df"


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one colour of bars: a value at each place, None where there is none."""

    look: str  # of `LOOKS`, or any name, which gets a look of its own throughout the figure
    label: str
    values: tuple[float | None, ...]
    spread: tuple[float | None, ...] | None = None  # half the height of the band or the whisker
    places: tuple[float, ...] | None = None  # of a line's own, where they are not the panel's


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: what is drawn over the places of the horizontal axis.

    From zero, or logarithmic where few places have a wide range of values; or, with `from_zero`
    false, from about the least value to the greatest. Bars always start at zero.
    """

    title: str
    across: str  # the name of the horizontal axis
    places: tuple[float | str, ...]  # numbers are drawn to scale, names side by side
    series: tuple[Series, ...] = ()
    from_zero: bool = True


def draw(
    rows: Sequence[Sequence[Panel]], *, bars: bool = False, height: float = HEIGHT
) -> "Figure":
    """Rows of panels over one legend, where what has the same label is named once.

    Args:
        rows: panels from the top down, from left to right; every row has as many.
        bars: groups of bars, from zero, rather than lines.
        height: of a row, in inches; the figure is 9 wide.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height * len(rows)), layout="constrained", facecolor=PAPER)
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    looks = _looks(series.look for row in rows for panel in row for series in panel.series)
    named: dict[str, Artist] = {}
    for line, panels in zip(axes, rows, strict=True):
        for place, panel in zip(line, panels, strict=True):
            _style(place, panel)
            (_bars if bars else _lines)(place, panel, looks)
            for shown, label in zip(*place.get_legend_handles_labels(), strict=True):
                named.setdefault(label, shown)
    if named:  # as many beside each other as there is room for
        figure.legend(
            list(named.values()),
            list(named),
            loc="outside lower center",
            ncols=max(1, min(len(named), ABREAST, LETTERS // (max(map(len, named)) + 6))),
            frameon=False,
            fontsize=8,
            labelcolor=INK,
        )
    return figure


def save(figure: "Figure", folder: Path, name: str = "figure") -> bytes:
    """Write `figure.png` and `figure.svg`, or of another name; return the bytes of the latter."""
    figure.savefig(folder / f"{name}.png", format="png", dpi=DOTS)
    path = folder / f"{name}.svg"
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path.read_bytes()


def _looks(names: Iterable[str]) -> Mapping[str, Look]:
    """The look of each name: its own, or the next that is free; once round, lines are dashed."""
    others = [name for name in dict.fromkeys(names) if name not in LOOKS]
    return {**LOOKS} | {
        name: (
            COLOURS[number % len(COLOURS)],
            MARKERS[number % len(MARKERS)],
            "-" if number < len(COLOURS) else "--",
        )
        for number, name in enumerate(others)
    }


def _style(axes: "Axes", panel: Panel) -> None:
    axes.set_facecolor(PAPER)
    axes.set_title(panel.title, loc="left", fontsize=9.5, color=INK)
    axes.set_xlabel(panel.across, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK, length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)


def _lines(axes: "Axes", panel: Panel, looks: Mapping[str, Look]) -> None:
    named = any(isinstance(place, str) for place in panel.places)
    places = list(range(len(panel.places))) if named else [float(x) for x in panel.places]
    many = len(places) > FEW
    for series in panel.series:
        colour, marker, line = looks[series.look]
        marker, values = "" if many else marker, _numbers(series.values)
        where = places if series.places is None else list(series.places)
        axes.plot(
            where, values, line, color=colour, marker=marker, markersize=4, label=series.label
        )
        if series.spread is not None:
            around = list(zip(values, _numbers(series.spread), strict=True))
            low, high = [x - by for x, by in around], [x + by for x, by in around]
            axes.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0)
    if many and not named:
        axes.locator_params(axis="x", nbins=TICKS)
    else:
        step = math.ceil(len(places) / TICKS) if many else 1
        labels = [x if isinstance(x, str) else f"{x:g}" for x in panel.places]
        axes.set_xticks(places[::step], labels[::step])
    values = [x for series in panel.series for x in series.values if x is not None]
    if panel.from_zero and values and not many and max(values) > WIDE_RANGE * min(values) > 0:
        axes.set_yscale("log")
        _plain_ticks(axes)
    elif panel.from_zero and min(values, default=0) >= 0:
        highest = axes.dataLim.y1  # without any value, it is not a number to scale by
        axes.set_ylim(0, 1.05 * highest if 0 < highest < math.inf else 1)


def _plain_ticks(axes: "Axes") -> None:
    """1, 2, 5, 10, 20, ... as such, not as powers of ten."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _bars(axes: "Axes", panel: Panel, looks: Mapping[str, Look]) -> None:
    width = 0.8 / max(len(panel.series), 1)
    for number, series in enumerate(panel.series):
        offset = (number - (len(panel.series) - 1) / 2) * width
        places = [place + offset for place in range(len(panel.places))]
        values = [value or 0.0 for value in series.values]
        whiskers = series.spread and [
            0.0 if value is None else by or 0.0
            for value, by in zip(series.values, series.spread, strict=True)
        ]
        bars = axes.bar(
            places,
            values,
            width,
            color=looks[series.look][0],
            label=series.label,
            yerr=whiskers,
            error_kw={"ecolor": INK, "elinewidth": 0.8, "capsize": 2},
        )
        labels = ["" if value is None else _figures(value) for value in series.values]
        axes.bar_label(bars, labels, fontsize=6.5, color=INK, padding=1)
    axes.set_xticks(range(len(panel.places)), [str(place) for place in panel.places])


def _figures(value: float) -> str:
    """Three figures, or a whole number with thousands separated: `0.452`, `1,914`."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
