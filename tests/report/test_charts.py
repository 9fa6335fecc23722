from xml.etree import ElementTree

import numpy as np

from fcmae.report.axes import linear_axis
from fcmae.report.charts import LEFT, RIGHT, Horizontal, Line, Panel, chart

STEPS = Horizontal(linear_axis(0, 10, 5, exact=True), "step", dividers=(5.0,))


def draw(*lines: Line, title: str = "Loss", describe: str = "a curve") -> ElementTree.Element:
    panel = Panel(title, linear_axis(0, 1, 2), 100, lines)
    return ElementTree.fromstring(chart((panel, panel), STEPS, 360, describe))


def test_a_line_spans_the_plot_and_higher_is_higher() -> None:
    line = Line(np.array([0.0, 10.0]), np.array([0.0, 1.0]), "strong")
    polyline = draw(line).findall("polyline")[0]
    (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in polyline.get("points").split())
    assert (x1, x2) == (LEFT, 360 - RIGHT)
    assert y1 - y2 == 100


def test_panels_stand_one_above_the_other() -> None:
    line = Line(np.array([0.0, 10.0]), np.array([0.5, 0.5]), "strong")
    first, second = (p.get("points").split()[0].split(",") for p in draw(line).findall("polyline"))
    assert first[0] == second[0]
    assert float(second[1]) - float(first[1]) > 100


def test_a_single_point_is_a_mark_and_no_point_is_nothing() -> None:
    point = Line(np.array([3.0]), np.array([0.5]), "strong", "0.5")
    svg = draw(point, Line(np.array([]), np.array([]), "faint", "none"))
    assert len(svg.findall(".//circle")) == 2  # one a panel
    assert "none" not in [text.text for text in svg.findall("text")]


def test_labels_do_not_touch() -> None:
    x = np.array([0.0, 10.0])
    svg = draw(*(Line(x, np.array([0.0, 0.5 + i / 100]), "strong", f"epoch {i}") for i in range(3)))
    levels = sorted(float(t.get("y")) for t in svg.findall("text") if "label" in t.get("class"))
    assert min(np.diff(levels)) >= 12


def test_words_are_escaped() -> None:
    line = Line(np.array([1.0]), np.array([0.5]), "strong", "<b>", dots=True, tips=("a & <b>",))
    svg = draw(line, title='<script>"', describe='"><script>')
    assert svg.get("aria-label") == '"><script>'
    assert svg.find(".//title").text == "a & <b>"
    assert svg.find("script") is None
