import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fcmae.report.curves import loss_panels, rate_panels, stacked, throughput_chart
from fcmae.report.inline import draw_inline
from fcmae.report.run import read_run


def texts(svg: str) -> list[str | None]:
    return [text.text for text in ElementTree.fromstring(svg).iter("text")]


def loss(run: Path) -> str:
    return draw_inline(stacked(loss_panels(read_run(run)), "")).wide


def losses(*values: float) -> list[dict[str, object]]:
    return [{"kind": "step", "step": i + 1, "loss": value} for i, value in enumerate(values)]


def test_nothing_logged_is_nothing_drawn(make_run) -> None:
    run = read_run(make_run())
    assert loss_panels(run) == rate_panels(run) == []
    assert throughput_chart(run) is None


def test_one_step_is_a_point(make_run) -> None:
    svg = ElementTree.fromstring(loss(make_run(losses(0.98))))
    assert svg.findall(".//circle")
    assert svg.findall("polyline") == []


@pytest.mark.parametrize(
    ("values", "title"),
    [([1.0, 0.7, 0.6], "Loss"), ([40.0, 2.0, 0.7], "Loss, logarithmic"), ([9.0, 1.0, 0.0], "Loss")],
)
def test_a_wide_range_is_logarithmic(make_run, values: list[float], title: str) -> None:
    assert title in texts(loss(make_run(losses(*values))))


def test_losses_that_are_not_numbers_leave_the_rest(make_run) -> None:
    assert "nan" not in loss(make_run(losses(1.0, math.nan, math.inf, 0.9)))
    assert loss_panels(read_run(make_run(losses(math.nan)))) == []


def test_an_epochs_mean_stands_over_its_middle(full_run: Path) -> None:
    svg = ElementTree.fromstring(loss(full_run))
    tips = [title.text for title in svg.iter("title")]
    assert tips == ["epoch 1: 0.960", "epoch 2: 0.755"]
    first, second = (float(circle.get("cx")) for circle in svg.iter("circle"))
    left, right = (first - (second - first) / 2, second + (second - first) / 2)
    points = svg.findall("polyline")[0].get("points").split()
    assert right == pytest.approx(float(points[-1].split(",")[0]), abs=0.2)
    assert left < float(points[0].split(",")[0])  # step 0 lies before step 1


def test_what_is_waited_stands_under_the_throughput(full_run: Path) -> None:
    chart = throughput_chart(read_run(full_run))
    assert chart is not None
    assert [panel.title for (panel,) in chart.rows] == [
        "Images a second",
        "Time spent waiting for images",
    ]
    assert chart.description.endswith("53 at the end")
