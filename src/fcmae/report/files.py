"""Charts as PNG and SVG files, drawn by matplotlib without touching its global state."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fcmae.report import charts
from fcmae.report.axes import Axis
from fcmae.report.charts import INK, PAPER, RULE, Chart, Look, Panel

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.0  # inches, of a row of panels
DOTS = 160  # an inch, in the PNG
ABREAST, LETTERS = 5, 120  # names in a line of the legend, and letters, at the most


def draw_figure(chart: Chart) -> "Figure":
    """Rows of panels over one legend, where what has the same label is named once."""
    from matplotlib.figure import Figure

    rows = chart.rows
    size = (WIDTH, chart.height * len(rows))
    figure = Figure(figsize=size, layout="constrained", facecolor=PAPER)
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    looks = charts.looks(series.style for series in chart.series)
    named: dict[str, Artist] = {}
    for axes, panel in zip(grid.flat, (panel for row in rows for panel in row), strict=True):
        x, y = charts.axes_of(panel, bars=chart.bars)
        (_bars if chart.bars else _lines)(axes, panel, looks)
        _style(axes, panel, x, y)
        for shown, label in zip(*axes.get_legend_handles_labels(), strict=True):
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


def save(figure: "Figure | Chart", folder: Path, name: str = "figure") -> bytes:
    """Write `figure.png` and `figure.svg`, or of another name; return the bytes of the latter."""
    drawn = draw_figure(figure) if isinstance(figure, Chart) else figure
    drawn.savefig(folder / f"{name}.png", format="png", dpi=DOTS)
    path = folder / f"{name}.svg"
    drawn.savefig(path, format="svg", metadata={"Date": None})
    return path.read_bytes()


def _style(axes: "Axes", panel: Panel, x: Axis, y: Axis) -> None:
    """Both axes as the panel has them; with a margin, so that marks at the ends are whole."""
    axes.set_facecolor(PAPER)
    axes.set_title(panel.title, loc="left", fontsize=9.5, color=INK)
    axes.set_xlabel(panel.across, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK, length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    if not panel.series:
        return  # whatever a caller adds has axes of its own
    if y.log:
        from matplotlib.ticker import NullLocator

        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    margin = 0.03 * (x.high - x.low)
    axes.set_xlim(x.low - margin, x.high + margin)
    axes.set_ylim(y.low, y.high)
    axes.set_xticks(*_ticks(x))
    axes.set_yticks(*_ticks(y))
    for rule in x.rules:
        axes.axvline(rule, color=RULE, linewidth=0.8)


def _ticks(axis: Axis) -> tuple[list[float], list[str]]:
    return [value for value, _ in axis.ticks], [label for _, label in axis.ticks]


def _lines(axes: "Axes", panel: Panel, looks: Mapping[str, Look]) -> None:
    for series in panel.series:
        colour, marker, line = looks[series.style]
        marker = marker if series.marks or len(panel.places) <= charts.FEW else ""
        values, places = charts.numbers(series.values), charts.places_of(panel, series)
        axes.plot(
            places,
            values,
            "" if series.marks else line,
            color=colour,
            marker=marker,
            markersize=4,
            label=series.label,
        )
        if series.spread is not None:
            by = charts.numbers(series.spread)
            axes.fill_between(
                places, values - by, values + by, color=colour, alpha=0.15, linewidth=0
            )


def _bars(axes: "Axes", panel: Panel, looks: Mapping[str, Look]) -> None:
    width = 0.8 / max(len(panel.series), 1)
    for number, series in enumerate(panel.series):
        offset = (number - (len(panel.series) - 1) / 2) * width
        values = charts.numbers(series.values)
        whiskers = None
        if series.spread is not None:
            known = np.isfinite(values)
            whiskers = np.where(known, np.nan_to_num(charts.numbers(series.spread)), 0.0)
        bars = axes.bar(
            np.arange(len(values)) + offset,
            np.nan_to_num(values),
            width,
            color=looks[series.style].colour,
            label=series.label,
            yerr=whiskers,
            error_kw={"ecolor": INK, "elinewidth": 0.8, "capsize": 2},
        )
        labels = ["" if np.isnan(value) else charts.figures(value) for value in values]
        axes.bar_label(bars, labels, fontsize=6.5, color=INK, padding=1)
