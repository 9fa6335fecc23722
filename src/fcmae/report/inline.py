"""Charts as inline SVG, which takes its colours and weights from the page's style sheet.

Every chart is drawn twice, for a desktop and for a phone, because text in a scaled drawing scales
with it; the page shows the one that fits. On a phone all panels stand one above the other.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from fcmae.report import charts
from fcmae.report.axes import Axis
from fcmae.report.charts import Chart, Look, Panel, Series, Style
from fcmae.report.statistics import Array, thin

WIDE, NARROW = 860, 360  # CSS pixels
LEFT, RIGHT, EDGE = 44, 74, 10  # room for the ticks' labels, for the lines' own, and without any
ABOVE, BETWEEN, BELOW = 26, 50, 38  # the panel's title, the next one's, the horizontal axis
LOWEST = 64  # no panel is lower
LINE_HEIGHT, LETTER, DIGIT = 15, 6.5, 5.0  # of text, and of the small numbers above bars


@dataclass(frozen=True)
class Drawing:
    """A chart drawn for a desktop and for a phone, and what its series are."""

    wide: str
    narrow: str
    legend: tuple[tuple[str, str, str], ...]  # class, colour where the class has none, meaning


def draw_inline(chart: Chart, description: str = "") -> Drawing:
    """Draw a chart into a page.

    Args:
        chart: with at least one panel.
        description: what a screen reader says in place of the drawing; by default the chart's own.
    """
    looks = charts.looks(s.style for s in chart.series if not isinstance(s.style, Style))
    legend = (
        ("dot" if s.marks else s.style, "", s.label)
        if isinstance(s.style, Style)
        else ("", _colour(looks[s.style]), s.label)
        for s in chart.series
        if s.label
    )
    wide, narrow = (
        _svg(chart, looks, width, description or chart.description) for width in (WIDE, NARROW)
    )
    return Drawing(wide, narrow, tuple(dict.fromkeys(legend)))


def _svg(chart: Chart, looks: Mapping[str, Look], width: int, description: str) -> str:
    rows = chart.rows if width == WIDE else [[panel] for row in chart.rows for panel in row]
    both = [[charts.axes_of(panel, bars=chart.bars) for panel in row] for row in rows]
    across = [[x for x, _ in row] for row in both]
    right = RIGHT if any(series.end for series in chart.series) else EDGE
    step = (width + EDGE) / len(rows[0])  # from one panel to the next beside it
    scale = chart.height / charts.HEIGHT * (1 if width == WIDE else 10 / 13)
    parts: list[str] = []
    bottom, top = 0, ABOVE
    for number, row in enumerate(rows):
        bottom = top + max(LOWEST, *(int(panel.height * scale) for panel in row))
        plots = [
            _Plot(panel, looks, *axes, left + LEFT, left + step - EDGE - right, top, bottom)
            for panel, axes, left in zip(row, both[number], np.arange(len(row)) * step, strict=True)
        ]
        for plot in plots:
            parts += [*plot.frame(), *(plot.bars() if chart.bars else plot.lines())]
        if across[number] in across[number + 1 : number + 2]:  # the row below has the same axes
            top = bottom + BETWEEN
            continue
        labels = [plot.tick_lines() for plot in plots]
        lines = max(len(text) for plot in labels for text in plot)
        bottom += BELOW + LINE_HEIGHT * (lines - 1)
        for plot, texts in zip(plots, labels, strict=True):
            parts += plot.axis(texts, bottom)
        top = bottom + ABOVE + LINE_HEIGHT
    return (
        f'<svg viewBox="0 0 {width} {bottom}" '
        f'role="img" aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


@dataclass(frozen=True)
class _Plot:
    """A panel and where its axes stand in the drawing, in pixels."""

    panel: Panel
    looks: Mapping[str, Look]
    x: Axis
    y: Axis
    left: float
    right: float
    top: int
    bottom: int

    def across(self, values: Sequence[float] | Array) -> Array:
        return self.left + (self.right - self.left) * self.x.position(np.asarray(values, float))

    def up(self, values: Sequence[float] | Array) -> Array:
        found = np.asarray(values, float)
        if self.y.log:
            found = np.maximum(found, self.y.low)  # a band may reach below zero
        return self.bottom - (self.bottom - self.top) * self.y.position(found)

    def frame(self) -> list[str]:
        """The title, the ticks of the vertical axis, and the rules."""
        parts = [_text(self.left - LEFT, self.top - 12, "title", self.panel.title)]
        for level, (_, label) in zip(self.up(_values(self.y)), self.y.ticks, strict=True):
            parts.append(_rule(self.left, level, self.right, level))
            parts.append(_text(self.left - 8, level + 4, "tick end", label))
        return parts + [_rule(x, self.top, x, self.bottom) for x in self.across(self.x.rules)]

    def tick_lines(self) -> list[list[str]]:
        """The labels under the horizontal axis, names in as many lines as they need."""
        ticks = self.across(_values(self.x))
        room = max(1, int(np.diff(ticks).min(initial=self.right - self.left) / LETTER))
        return [
            textwrap.wrap(label, room, break_long_words=False) or [""] for _, label in self.x.ticks
        ]

    def axis(self, labels: list[list[str]], below: int) -> list[str]:
        """The horizontal axis, whose name stands just above `below`."""
        parts = [
            _text(x, self.bottom + 18 + LINE_HEIGHT * number, "tick middle", line)
            for x, label in zip(self.across(_values(self.x)), labels, strict=True)
            for number, line in enumerate(label)
        ]
        middle = (self.left + self.right) / 2
        return [*parts, _text(middle, below - 3, "tick middle", self.panel.across)]

    def lines(self) -> list[str]:
        """Curves with their bands, marks, and labels at their right ends."""
        parts: list[str] = []
        ends: list[tuple[float, Series]] = []
        for series in self.panel.series:
            values = charts.numbers(series.values)
            x, y = self.across(charts.places_of(self.panel, series)), self.up(values)
            for piece in _without_gaps(values):
                if series.spread is not None:
                    spread = charts.numbers(series.spread)[piece]
                    edges = [
                        *self.up(values[piece] + spread),
                        *self.up(values[piece] - spread)[::-1],
                    ]
                    points = _points([*x[piece], *x[piece][::-1]], edges)
                    parts.append(f"<polygon {self.style('band', series)} points={points}/>")
                if not series.marks and len(piece) > 1:
                    buckets = int(self.right - self.left) // 2
                    points = _points(*thin(x[piece], y[piece], buckets))
                    parts.append(f"<polyline {self.style('line', series)} points={points}/>")
            shown = np.flatnonzero(np.isfinite(y))
            if len(shown) == 1 or (len(shown) and self.is_marked(series)):
                tips = series.tips or [""] * len(x)
                marks = (_mark(x[i], y[i], tips[i]) for i in shown.tolist())
                parts.append(f"<g {self.style('dots', series)}>{''.join(marks)}</g>")
            if series.end and len(shown):
                ends.append((float(y[shown[-1]]), series))
        return parts + _end_labels(ends, self.right)

    def is_marked(self, series: Series) -> bool:
        """Whether the points of a curve have marks."""
        few = 0 < len(self.panel.places) <= charts.FEW
        return series.marks or bool(series.tips) or (few and self.looks[series.style].marker != "")

    def style(self, kind: str, series: Series) -> str:
        """The attributes of what is drawn of a series."""
        if isinstance(series.style, Style):
            return f'class="{kind} {series.style}"'
        look = self.looks[series.style]
        dashed = "" if look.line == "-" else " dashed"
        return f'class="{kind}{dashed}" style="--series: {_colour(look)}"'

    def bars(self) -> list[str]:
        """Groups of bars side by side, with their values above them and whiskers."""
        parts: list[str] = []
        width = 0.8 / max(len(self.panel.series), 1)
        for number, series in enumerate(self.panel.series):
            offset = (number - (len(self.panel.series) - 1) / 2) * width
            values = charts.numbers(series.values)
            spread = charts.numbers(series.spread or [0.0] * len(values))
            for group in np.flatnonzero(np.isfinite(values)):
                left, x, right = self.across(group + offset + width * np.array([-0.5, 0, 0.5]))
                by = 0.0 if np.isnan(spread[group]) else float(spread[group])
                zero, end, high, low = self.up([0, *(values[group] + [0, by, -by])])
                text = charts.figures(values[group])
                parts.append(
                    f'<rect {self.style("bar", series)} x="{left:.1f}" '
                    f'y="{min(zero, end):.1f}" width="{right - left:.1f}" '
                    f'height="{abs(end - zero):.1f}"><title>{text}</title></rect>'
                )
                if by:
                    parts.append(f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
                if len(text) * DIGIT <= right - left:
                    parts.append(_text(x, min(zero, high) - 4, "value middle", text))
        return parts


def _mark(x: float, y: float, tip: str) -> str:
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3">{title}</circle>'


def _end_labels(ends: list[tuple[float, Series]], right: float) -> list[str]:
    """Labels beside the curves' right ends, pushed down where two would touch."""
    parts: list[str] = []
    free = float("-inf")
    for end, series in sorted(ends, key=lambda entry: entry[0]):
        y = max(end, free)
        free = y + LINE_HEIGHT
        parts.append(_text(right + 8, y + 4, f"label {series.style}", series.end))
    return parts


def _without_gaps(values: Array) -> list[NDArray[np.intp]]:
    """The places of values, in pieces between those that are missing."""
    found = np.flatnonzero(np.isfinite(values))
    pieces = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    return [piece for piece in pieces if len(piece)]


def _colour(look: Look) -> str:
    return "var(--ink)" if look.colour == charts.INK else look.colour  # which is light on dark


def _values(axis: Axis) -> list[float]:
    return [value for value, _ in axis.ticks]


def _points(x: Sequence[float] | Array, y: Sequence[float] | Array) -> str:
    return '"' + " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)) + '"'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="rule" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(x: float, y: float, style: str, text: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
