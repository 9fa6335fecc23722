from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest

from fcmae.report.axes import Axis, linear_axis
from fcmae.report.charts import COLOURS, INK, LOOKS, Chart, Panel, Series, Style
from fcmae.report.inline import EDGE, LEFT, NARROW, RIGHT, WIDE, draw_inline

STEPS = Axis(0, 10, ((0, "0"), (10, "10")), rules=(5.0,))


def line(*values: float | None, places: Sequence[float] = (0.0, 10.0), end: str = "") -> Series:
    return Series(Style.STRONG, "loss", values, places=places[: len(values)], end=end)


def parsed(chart: Chart, *, narrow: bool = True) -> ElementTree.Element:
    drawing = draw_inline(chart)
    return ElementTree.fromstring(drawing.narrow if narrow else drawing.wide)


def draw(*series: Series, title: str = "Loss", description: str = "a curve") -> ElementTree.Element:
    panel = Panel(title, "step", series=series, x=STEPS, y=linear_axis(0, 1, 2), height=130)
    return parsed(Chart([[panel], [panel]], description=description))


def texts(svg: ElementTree.Element) -> list[str | None]:
    return [text.text for text in svg.iter("text")]


def points(line: ElementTree.Element) -> list[tuple[float, ...]]:
    return [tuple(map(float, point.split(","))) for point in (line.get("points") or "").split()]


def test_a_line_spans_the_plot_and_higher_is_higher() -> None:
    (x1, y1), (x2, y2) = points(draw(line(0.0, 1.0)).findall("polyline")[0])
    assert (x1, x2) == (LEFT, NARROW - EDGE)
    assert y1 - y2 == 100
    labelled = points(draw(line(0.0, 1.0, end="1.0")).findall("polyline")[0])
    assert labelled[1][0] == NARROW - RIGHT  # there is room for the label


def test_panels_stand_one_above_the_other_over_one_axis() -> None:
    svg = draw(line(0.5, 0.5))
    first, second = (points(one)[0] for one in svg.findall("polyline"))
    assert first[0] == second[0]
    assert second[1] - first[1] > 100
    assert texts(svg).count("step") == 1
    middle = f"M{LEFT + (NARROW - EDGE - LEFT) / 2:.1f} "
    assert sum((path.get("d") or "").startswith(middle) for path in svg.findall("path")) == 2


def test_a_single_point_is_a_mark_and_no_point_is_nothing() -> None:
    svg = draw(line(0.5, end="0.5"), Series(Style.FAINT, "", (), places=(), end="none"))
    assert len(svg.findall(".//circle")) == 2  # one a panel
    assert svg.findall("polyline") == []
    assert "none" not in texts(svg)


def test_a_line_that_has_tips_has_marks_too() -> None:
    tips = ["first", "", "third"]
    svg = draw(Series(Style.STRONG, "", (0.1, None, 0.3), places=(0, 5, 10), tips=tips))
    assert [title.text for title in svg.iter("title")] == ["first", "third"] * 2
    assert svg.findall("polyline") == []  # the gap leaves single points


def test_labels_do_not_touch() -> None:
    svg = draw(*(line(0.0, 0.5 + i / 100, end=f"epoch {i}") for i in range(3)))
    levels = sorted(float(t.get("y")) for t in svg.findall("text") if "label" in t.get("class"))
    assert min(np.diff(levels[:3])) >= 12


def test_words_are_escaped() -> None:
    mark = Series(Style.STRONG, "", (0.5,), places=(1.0,), end="<b>", marks=True, tips=("a & <b>",))
    svg = draw(mark, title='<script>"', description='"><script>')
    assert svg.get("aria-label") == '"><script>'
    assert svg.find(".//title").text == "a & <b>"
    assert svg.find("script") is None


def test_a_long_line_keeps_its_spike_and_is_small() -> None:
    values = np.zeros(50_000)
    values[12_345] = 1.0
    series = Series(Style.FAINT, "", values, places=np.linspace(0, 10, len(values)))
    found = points(draw(series).findall("polyline")[0])
    assert len(found) <= NARROW
    assert max(y for _, y in found) - min(y for _, y in found) == 100


NAMES = ("tiled", "dense", "run <1>", "run 2")
PANELS = [
    Panel(title, "size", ("atto", "base"), tuple(Series(name, name, (1.0, 2.0)) for name in NAMES))
    for title in ("images/s", "memory")
]


@pytest.mark.parametrize("bars", [False, True])
def test_panels_are_side_by_side_on_a_desktop_and_stacked_on_a_phone(bars: bool) -> None:
    chart = Chart([PANELS], bars=bars)
    shape, number = ("rect", 16) if bars else ("polyline", 8)
    for narrow, axes in ((True, 1), (False, 2)):
        svg = parsed(chart, narrow=narrow)
        assert len(svg.findall(shape)) == number
        assert texts(svg).count("size") == texts(svg).count("base") == axes
        title, other = (t for t in svg.findall("text") if t.get("class") == "title")
        assert (title.get("x") == other.get("x")) == narrow
        assert (title.get("y") == other.get("y")) != narrow


def test_each_name_has_its_colour_in_the_drawing_and_the_legend() -> None:
    drawing = draw_inline(Chart([PANELS]))
    colours = [LOOKS["tiled"].colour, LOOKS["dense"].colour, *COLOURS[:2]]
    assert drawing.legend == tuple(("", c, n) for c, n in zip(colours, NAMES, strict=True))
    lines = ElementTree.fromstring(drawing.wide).findall("polyline")
    assert [one.get("style") for one in lines[:4]] == [f"--series: {c}" for c in colours]
    named = tuple(Series(name, name, (1.0, 2.0)) for name in ("strong", "first"))
    own = draw_inline(Chart([[Panel("", "", (1, 2), named)]])).legend
    assert [colour for _, colour, _ in own] == list(COLOURS[:2])  # a name is no style of the page
    many = tuple(Series(f"run {number}", "a", (1.0, 2.0)) for number in range(8))
    lines = parsed(Chart([[Panel("", "", (1, 2), many)]])).findall("polyline")
    assert (COLOURS[6], lines[6].get("style")) == (INK, "--series: var(--ink)")  # light on dark
    assert [one.get("class") for one in lines[6:]] == ["line", "line dashed"]


def test_a_missing_value_leaves_a_gap_in_a_line_and_its_band() -> None:
    values, spread = (1.0, 2.0, None, 3.0, 4.0), (0.5, 0.5, None, 0.5, 0.5)
    panel = Panel("", "", (1, 2, 3, 4, 5), (Series("tiled", "a", values, spread),))
    svg = parsed(Chart([[panel]]))
    assert [len(points(one)) for one in svg.findall("polyline")] == [2, 2]
    assert [len(points(one)) for one in svg.findall("polygon")] == [4, 4]
    assert len(svg.findall(".//circle")) == 4


def test_a_bar_has_its_value_and_whisker_where_there_is_one() -> None:
    panel = Panel("", "", ("a", "b", "c"), (Series("tiled", "a", (2.0, None, 1914.2), (1, 1, 0)),))
    svg = parsed(Chart([[panel]], bars=True))
    assert [rect.find("title").text for rect in svg.findall("rect")] == ["2", "1,914"]
    assert {"2", "1,914"} <= set(texts(svg))
    (whisker,) = (path for path in svg.findall("path") if path.get("class") == "whisker")
    low, high = (float(y) for y in whisker.get("d").split(" ")[1].split("V"))
    bar = svg.findall("rect")[0]
    assert low - high == pytest.approx(float(bar.get("height")), abs=0.2)  # 1 on either side of 2


def test_a_bar_below_zero_hangs_from_it() -> None:
    panel = Panel("", "", ("a", "b"), (Series("tiled", "a", (2.0, -1.0)),))
    up, down = parsed(Chart([[panel]], bars=True)).findall("rect")
    zero = float(up.get("y")) + float(up.get("height"))
    assert float(down.get("y")) == pytest.approx(zero, abs=0.2)


def test_long_names_under_bars_are_broken_at_spaces() -> None:
    names = tuple(f"normalise number {number}" for number in range(4))
    panel = Panel("", "case", names, (Series("tiled", "a", (1.0, 1.0, 1.0, 1.0)),))
    short = Panel("", "case", tuple("abcd"), panel.series)
    narrow, other = (parsed(Chart([[one]], bars=True)) for one in (panel, short))
    assert texts(narrow).count("normalise") == 4
    heights = [int(svg.get("viewBox").split()[3]) for svg in (narrow, other)]
    assert heights[0] > heights[1]


def test_widths_are_those_of_the_page() -> None:
    drawing = draw_inline(Chart([PANELS]), "what it shows")
    for svg, width in ((drawing.wide, WIDE), (drawing.narrow, NARROW)):
        found = ElementTree.fromstring(svg)
        assert found.get("viewBox").split()[2] == str(width)
        assert found.get("aria-label") == "what it shows"
