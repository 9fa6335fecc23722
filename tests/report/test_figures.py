import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fcmae.report.figures import diversity_chart, loss_chart, throughput_chart
from fcmae.report.read import read_run


def texts(svg: str) -> list[str | None]:
    return [text.text for text in ElementTree.fromstring(svg).iter("text")]


def losses(*values: float) -> list[dict[str, object]]:
    return [{"kind": "step", "step": i + 1, "loss": value} for i, value in enumerate(values)]


def test_figures_are_drawn_for_two_widths(full_run: Path) -> None:
    run = read_run(full_run)
    for chart in (loss_chart(run), diversity_chart(run), throughput_chart(run)):
        assert chart is not None
        wide, narrow = (ElementTree.fromstring(svg) for svg in (chart.wide, chart.narrow))
        assert int(narrow.get("viewBox").split()[2]) <= 360 < int(wide.get("viewBox").split()[2])


def test_nothing_logged_is_nothing_drawn(make_run) -> None:
    run = read_run(make_run())
    assert loss_chart(run) is diversity_chart(run) is throughput_chart(run) is None


def test_the_learning_rate_stands_under_the_loss(full_run: Path) -> None:
    words = texts(loss_chart(read_run(full_run)).wide)
    assert words.index("Loss") < words.index("Learning rate") < words.index("step")


def test_one_step_is_a_point(make_run) -> None:
    svg = ElementTree.fromstring(loss_chart(read_run(make_run(losses(0.98)))).narrow)
    assert svg.findall(".//circle")
    assert svg.findall("polyline") == []


@pytest.mark.parametrize(
    ("values", "title"),
    [([1.0, 0.7, 0.6], "Loss"), ([40.0, 2.0, 0.7], "Loss, logarithmic"), ([9.0, 1.0, 0.0], "Loss")],
)
def test_a_wide_range_is_logarithmic(make_run, values: list[float], title: str) -> None:
    assert title in texts(loss_chart(read_run(make_run(losses(*values)))).wide)


def test_losses_that_are_not_numbers_leave_the_rest(make_run) -> None:
    run = read_run(make_run(losses(1.0, math.nan, math.inf, 0.9)))
    assert "nan" not in loss_chart(run).wide
    assert loss_chart(read_run(make_run(losses(math.nan)))) is None


def test_an_epochs_mean_stands_over_its_middle(full_run: Path) -> None:
    svg = ElementTree.fromstring(loss_chart(read_run(full_run)).wide)
    tips = [title.text for title in svg.iter("title")]
    assert tips == ["epoch 1: 0.960", "epoch 2: 0.755"]
    first, second = (float(circle.get("cx")) for circle in svg.iter("circle"))
    left, right = (first - (second - first) / 2, second + (second - first) / 2)
    points = svg.findall("polyline")[0].get("points").split()
    assert right == pytest.approx(float(points[-1].split(",")[0]), abs=0.2)
    assert left < float(points[0].split(",")[0])  # step 0 lies before step 1


def test_stages_are_named_and_divided(full_run: Path) -> None:
    chart = diversity_chart(read_run(full_run))
    words = texts(chart.wide)
    assert {"stage 1", "stage 2", "stage 3", "stage 4", "epoch 0", "epoch 2"} <= set(words)
    assert "epoch 1" not in words  # between first and last: faint, unnamed
    tips = [title.text for title in ElementTree.fromstring(chart.wide).iter("title")]
    assert tips[-1] == "stages.3.0: 0.38"


def test_a_single_look_is_drawn_once(make_run) -> None:
    blocks = [{"block": f"stages.{i}.0", "distance": 0.4} for i in range(4)]
    run = read_run(make_run([{"kind": "look", "epoch": 1, "step": 2, "diversity": blocks}]))
    assert len(ElementTree.fromstring(diversity_chart(run).wide).findall("polyline")) == 1


def test_blocks_of_any_name_are_drawn(make_run) -> None:
    blocks = [{"block": "<b>", "distance": 0.4}, {"block": "a.x.c", "distance": None}]
    run = read_run(make_run([{"kind": "look", "epoch": 1, "step": 2, "diversity": blocks}]))
    svg = ElementTree.fromstring(diversity_chart(run).wide)
    assert [title.text for title in svg.iter("title")] == ["<b>: 0.40"]
