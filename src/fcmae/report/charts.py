"""Line charts as inline SVG: panels one above the other on one horizontal axis.

Colours and weights are the page's: a line only has a class. Every figure is drawn twice, for a
desktop and for a phone, because text in a scaled drawing scales with it; the page shows the one
that fits.
"""

from dataclasses import dataclass, field
from html import escape

import numpy as np

from fcmae.report.axes import Axis
from fcmae.report.curves import Array

LEFT, RIGHT = 44, 74  # room for the ticks' labels and for the lines' own
ABOVE, BETWEEN, BELOW = 26, 50, 38  # the panel's title, the next one's, the horizontal axis
LINE_HEIGHT = 15


@dataclass(frozen=True)
class Line:
    """A curve x [N], y [N]; `look` is its class on the page, `label` stands at its right end."""

    x: Array
    y: Array
    look: str
    label: str = ""
    dots: bool = False  # marks alone, no line between
    tips: tuple[str, ...] = ()  # [N], what a pointer over a mark shows


@dataclass(frozen=True)
class Panel:
    """One plot: its vertical axis and its lines, later ones drawn over earlier ones."""

    title: str
    axis: Axis
    height: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Horizontal:
    """What the panels share: the axis, its name, and where a thin upright divides them."""

    axis: Axis
    name: str
    dividers: tuple[float, ...] = field(default=())


def chart(panels: tuple[Panel, ...], horizontal: Horizontal, width: int, describe: str) -> str:
    """Draw `panels` from the top down into one `<svg>` of `width` pixels.

    Args:
        panels: at least one.
        horizontal: the axis they share, drawn under the last.
        width: of the whole drawing, in CSS pixels.
        describe: what a screen reader says in place of the drawing.
    """
    parts: list[str] = []
    top = ABOVE
    for panel in panels:
        parts += _panel(panel, horizontal, width, top)
        top += panel.height + BETWEEN
    bottom = top - BETWEEN
    parts += _horizontal(horizontal, width, bottom)
    height = bottom + BELOW
    return (
        f'<svg viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(describe)}">{"".join(parts)}</svg>'
    )


def _panel(panel: Panel, horizontal: Horizontal, width: int, top: float) -> list[str]:
    right = width - RIGHT
    parts = [_text(0, top - 12, "title", panel.title)]
    for value, label in panel.axis.ticks:
        level = top + panel.height * (1 - _place(panel.axis, value))
        parts.append(_rule(LEFT, level, right, level))
        parts.append(_text(LEFT - 8, level + 4, "tick end", label))
    for value in horizontal.dividers:
        across = LEFT + (right - LEFT) * _place(horizontal.axis, value)
        parts.append(_rule(across, top, across, top + panel.height))
    ends: list[tuple[float, Line]] = []
    for line in panel.lines:
        x = LEFT + (right - LEFT) * horizontal.axis.place(line.x)  # [N], pixels
        y = top + panel.height * (1 - panel.axis.place(line.y))
        parts.append(_marks(line, x, y) if line.dots or len(x) == 1 else _path(line, x, y))
        if line.label and len(x):
            ends.append((float(y[-1]), line))
    return parts + _end_labels(ends, right)


def _path(line: Line, x: Array, y: Array) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline class="line {line.look}" points="{points}"/>'


def _marks(line: Line, x: Array, y: Array) -> str:
    tips = line.tips or ("",) * len(x)
    marks = [
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3">'
        f"{f'<title>{escape(tip)}</title>' if tip else ''}</circle>"
        for a, b, tip in zip(x, y, tips, strict=True)
    ]
    return f'<g class="dots {line.look}">{"".join(marks)}</g>'


def _end_labels(ends: list[tuple[float, Line]], right: float) -> list[str]:
    """Labels beside the lines' right ends, pushed down where two would touch."""
    parts: list[str] = []
    free = float("-inf")
    for end, line in sorted(ends, key=lambda entry: entry[0]):
        y = max(end, free)
        free = y + LINE_HEIGHT
        parts.append(_text(right + 8, y + 4, f"label {line.look}", line.label))
    return parts


def _horizontal(horizontal: Horizontal, width: int, bottom: float) -> list[str]:
    plot = width - RIGHT - LEFT
    parts = []
    for value, label in horizontal.axis.ticks:
        x = LEFT + plot * _place(horizontal.axis, value)
        parts.append(_text(x, bottom + 18, "tick middle", label))
    parts.append(_text(LEFT + plot / 2, bottom + 35, "tick middle", horizontal.name))
    return parts


def _place(axis: Axis, value: float) -> float:
    return float(axis.place(np.array([value]))[0])


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="rule" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(x: float, y: float, look: str, words: str) -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
