import math
import sys
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image

from fcmae.report.charts import LOOKS, Chart, Panel, Series
from fcmae.report.files import draw_figure, save

SERIES = (Series("tiled", "tiled", (3.0, None, 500.0)), Series("dense", "dense", (1.0, 2.0, 4.0)))


def axes_of(panel: Panel, *, bars: bool = False) -> Axes:
    (axes,) = draw_figure(Chart([[panel]], bars)).axes
    return axes


@pytest.mark.parametrize("bars", [False, True])
def test_a_figure_is_written_twice(bars: bool, tmp_path: Path) -> None:
    panel = Panel("images/s", "size", ("atto", "base", "huge"), SERIES)
    svg = save(Chart([[panel, panel], [panel, panel]], bars), tmp_path, "speed")
    assert svg == (tmp_path / "speed.svg").read_bytes()
    assert b"<svg" in svg
    with Image.open(tmp_path / "speed.png") as image:
        assert image.width > image.height > 500
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(("values", "scale"), [((1.0, 30.0), "log"), ((1.0, 10.0), "linear")])
def test_a_wide_range_is_drawn_logarithmically(values: tuple[float, float], scale: str) -> None:
    axes = axes_of(Panel("images/s", "batch", (1.0, 2.0), (Series("tiled", "tiled", values),)))
    assert axes.get_yscale() == scale
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2"]


def test_an_axis_starts_at_zero_unless_it_is_free_or_would_cut_something_off() -> None:
    def least(*values: float, from_zero: bool = True) -> float:
        series = (Series("tiled", "tiled", values),)
        return axes_of(Panel("", "", (1.0, 2.0), series, from_zero)).get_ylim()[0]

    assert least(80, 82) == 0
    assert 79 < least(80, 82, from_zero=False) <= 80
    assert least(-1, 2) <= -1
    assert 0 < least(1, 100) <= 1  # logarithmic


def test_a_value_that_is_missing_leaves_a_gap() -> None:
    line = axes_of(Panel("images/s", "batch", (1.0, 2.0, 4.0), SERIES)).get_lines()[0]
    assert [math.isnan(y) for y in line.get_ydata()] == [False, True, False]


def test_a_spread_is_a_band_around_a_line() -> None:
    series = Series("tiled", "tiled", (3.0, 4.0, None), (1.0, 0.5, 0.5))
    axes = axes_of(Panel("", "", (1.0, 2.0, 4.0), (series, SERIES[1])))
    (band,) = axes.collections
    assert {(x, y) for path in band.get_paths() for x, y in path.vertices} == {
        (1, 2), (1, 4), (2, 3.5), (2, 4.5)
    }  # fmt: skip


def test_a_spread_is_a_whisker_on_a_bar_that_is_there() -> None:
    series = Series("tiled", "tiled", (3.0, None), (1.0, 0.5))
    axes = axes_of(Panel("", "", ("atto", "base"), (series,)), bars=True)
    (whiskers,) = axes.collections
    first, second = whiskers.get_segments()
    assert [y for _, y in first] == [2, 4]
    assert [y for _, y in second] == [0, 0]


def test_any_name_has_a_look_of_its_own_throughout_a_figure() -> None:
    names = ["tiled", *(f"run {number}" for number in range(9))]
    lines = tuple(Series(name, name, (1.0, 2.0)) for name in names)
    panels = [Panel("", "", (1.0, 2.0), some) for some in (lines, lines[:3:-1])]
    first, second = draw_figure(Chart([panels])).axes
    styles = [
        {line.get_label(): (to_hex(line.get_color()), line.get_linestyle()) for line in lines}
        for lines in (first.get_lines(), second.get_lines())
    ]
    assert styles[0]["tiled"][0] == LOOKS["tiled"][0]
    assert len(set(styles[0].values())) == len(names)
    assert styles[1].items() < styles[0].items()


def test_the_legend_names_once_what_is_in_any_panel() -> None:
    panels = [Panel("", "", (1.0, 2.0, 4.0), series) for series in (SERIES[:1], SERIES)]
    (legend,) = draw_figure(Chart([panels])).legends
    assert [text.get_text() for text in legend.get_texts()] == ["tiled", "dense"]


@pytest.mark.parametrize("named", [False, True])
def test_a_dense_grid_has_few_ticks_and_no_markers(named: bool) -> None:
    places = tuple(str(place) if named else place / 50 for place in range(100))
    values = tuple(1.0 + place for place in range(100))
    axes = axes_of(Panel("density", "selectivity", places, (Series("tiled", "tiled", values),)))
    assert 4 <= len(axes.get_xticks()) <= 8
    assert axes.get_lines()[0].get_marker() in ("", "None")
    assert axes.get_yscale() == "linear"


def test_bars_have_figures_that_are_read_at_a_glance() -> None:
    series = Series("tiled", "tiled", (0.4521, 12.345, 1914.2, None))
    axes = axes_of(Panel("", "", ("a", "b", "c", "d"), (series,)), bars=True)
    assert [text.get_text() for text in axes.texts] == ["0.452", "12.3", "1,914", ""]
