"""Figures as PNG and SVG, drawn by matplotlib without touching its global state."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 9.0, 3.4  # inches, of a row of panels
DOTS = 160  # an inch, in the PNG
WIDE_RANGE = 20  # beyond this ratio of the largest to the smallest value, an axis is logarithmic

# What each mode looks like everywhere: ours stands out.
LOOKS: dict[str, tuple[str, str, str]] = {  # colour, marker, line
    "tiled": ("#1c5bc4", "o", "-"),
    "dense": ("#6d7178", "s", "-"),
    "masked": ("#b3803a", "^", "-"),
    "timm": ("#9a5ba5", "D", "-"),
    "limit": ("#1c5bc4", "", ":"),
}
PAPER, INK, RULE = "#fbfbf9", "#1a1c1f", "#e4e4df"


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one colour of bars: a value at each place, None where there is none."""

    look: str  # of `LOOKS`
    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: what is drawn over the places of the horizontal axis."""

    title: str
    across: str  # the name of the horizontal axis
    places: tuple[float | str, ...]  # numbers are drawn to scale, names side by side
    series: tuple[Series, ...] = field(default=())


def draw(rows: Sequence[Sequence[Panel]], *, bars: bool = False) -> "Figure":
    """Rows of panels over one legend, that of the first, as all show the same modes.

    Args:
        rows: panels from the top down, from left to right; every row has as many.
        bars: groups of bars, from zero, rather than lines.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT * len(rows)), layout="constrained", facecolor=PAPER)
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for line, panels in zip(axes, rows, strict=True):
        for place, panel in zip(line, panels, strict=True):
            _style(place, panel)
            (_bars if bars else _lines)(place, panel)
    shown, labels = axes[0][0].get_legend_handles_labels()
    if shown:
        figure.legend(
            shown,
            labels,
            loc="outside lower center",
            ncols=len(shown),
            frameon=False,
            fontsize=8,
            labelcolor=INK,
        )
    return figure


def save(figure: "Figure", folder: Path) -> bytes:
    """Write `figure.png` and `figure.svg`; return the bytes of the latter."""
    figure.savefig(folder / "figure.png", format="png", dpi=DOTS)
    path = folder / "figure.svg"
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path.read_bytes()


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


def _lines(axes: "Axes", panel: Panel) -> None:
    named = any(isinstance(place, str) for place in panel.places)
    places = list(range(len(panel.places))) if named else [float(x) for x in panel.places]
    for series in panel.series:
        colour, marker, line = LOOKS[series.look]
        values = [float("nan") if value is None else value for value in series.values]
        axes.plot(
            places, values, line, color=colour, marker=marker, markersize=4, label=series.label
        )
    axes.set_xticks(places, [x if isinstance(x, str) else f"{x:g}" for x in panel.places])
    values = [x for series in panel.series for x in series.values if x is not None]
    if values and max(values) > WIDE_RANGE * min(values) > 0:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def _bars(axes: "Axes", panel: Panel) -> None:
    width = 0.8 / max(len(panel.series), 1)
    for number, series in enumerate(panel.series):
        offset = (number - (len(panel.series) - 1) / 2) * width
        places = [place + offset for place in range(len(panel.places))]
        values = [0.0 if value is None else value for value in series.values]
        bars = axes.bar(places, values, width, color=LOOKS[series.look][0], label=series.label)
        labels = ["" if value is None else f"{value:.3g}" for value in series.values]
        axes.bar_label(bars, labels, fontsize=6.5, color=INK, padding=1)
    axes.set_xticks(range(len(panel.places)), [str(place) for place in panel.places])
