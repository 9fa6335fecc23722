import math
import sys
from pathlib import Path

import pytest
from PIL import Image

from fcmae.benchmarks.figures import Panel, Series, draw, save

SERIES = (Series("tiled", "tiled", (3.0, None, 500.0)), Series("dense", "dense", (1.0, 2.0, 4.0)))


@pytest.mark.parametrize("bars", [False, True])
def test_a_figure_is_written_twice(bars: bool, tmp_path: Path) -> None:
    panel = Panel("images/s", "size", ("atto", "base", "huge"), SERIES)
    svg = save(draw([[panel, panel], [panel, panel]], bars=bars), tmp_path)
    assert svg == (tmp_path / "figure.svg").read_bytes()
    assert b"<svg" in svg
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width > image.height > 500
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(("values", "scale"), [((1.0, 30.0), "log"), ((1.0, 10.0), "linear")])
def test_a_wide_range_is_drawn_logarithmically(values: tuple[float, float], scale: str) -> None:
    panel = Panel("images/s", "batch", (1.0, 2.0), (Series("tiled", "tiled", values),))
    figure = draw([[panel]])
    (axes,), (legend,) = figure.axes, figure.legends
    assert axes.get_yscale() == scale
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2"]
    assert [text.get_text() for text in legend.get_texts()] == ["tiled"]


def test_a_value_that_is_missing_leaves_a_gap() -> None:
    panel = Panel("images/s", "batch", (1.0, 2.0, 4.0), SERIES)
    line = draw([[panel]]).axes[0].get_lines()[0]
    assert [math.isnan(y) for y in line.get_ydata()] == [False, True, False]
