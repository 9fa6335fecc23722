"""The curve of nearest neighbours, and the sentence under its heading."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from report.page import Page

from fcmae.pretraining.neighbours import (
    comparison,
    difference_interval,
    neighbours_chart,
    read_probes,
)
from fcmae.pretraining.page import page
from fcmae.report import write_report
from fcmae.report.inline import LEFT, RIGHT, WIDE, Drawing, draw_inline
from fcmae.report.run import Run, read_run


def probe(epoch: float, accuracy: object, images: object = (1024, 256)) -> dict[str, object]:
    line = {"kind": "probe", "step": 2 * epoch, "epoch": epoch, "k": 20, "top_1": accuracy}
    return {**line, "top_5": None, "images": images}


def drawn(run: Run) -> Drawing:
    chart = neighbours_chart(run, read_probes(run))
    assert chart is not None
    return draw_inline(chart)


def compared(run: Run) -> str:
    return comparison(run, read_probes(run))


def circles(svg: str, look: str) -> list[ElementTree.Element]:
    groups = ElementTree.fromstring(svg).findall("g")
    return [circle for g in groups if g.get("class") == f"dots {look}" for circle in g]


def test_the_section_is_there_only_when_something_is_measured(make_run) -> None:
    assert "neighbours" not in Page(write_report(make_run())).ids()
    page = Page(write_report(make_run([probe(0, 0.3), probe(2, 0.5)])))
    assert "neighbours" in page.ids()
    assert "256 validation images" in page.text
    assert "20 nearest of 1,024 labelled images" in page.text
    assert "Better than the untrained network" in page.text


def test_accuracies_are_drawn_over_epochs_and_the_start_is_marked(make_run) -> None:
    run = read_run(make_run([probe(0, 0.3), probe(1, 0.4), probe(4, 0.5)]))
    chart = drawn(run)
    for svg in (chart.wide, chart.narrow):
        texts = [text.text for text in ElementTree.fromstring(svg).iter("text")]
        assert {"kNN accuracy (%)", "epoch", "untrained", "50.0\u00a0%"} <= set(texts)
    dots = circles(chart.wide, "strong")
    assert [dot[0].text for dot in dots][1:] == ["epoch 1: 40.0\u00a0%", "epoch 4: 50.0\u00a0%"]
    places = [(float(dot.get("cx") or 0) - LEFT) / (WIDE - RIGHT - LEFT) for dot in dots]
    assert places == pytest.approx([0, 0.25, 1], abs=1e-3)
    (start,) = circles(chart.wide, "first")
    assert start[0].text == "untrained: 30.0\u00a0%"
    assert start.get("cy") == dots[0].get("cy")
    assert [meaning for *_, meaning in chart.legend][-2] == "untrained"


@pytest.mark.parametrize("accuracies", [(0.0, 0.0), (1.0, 1.0), (0.25, 0.25), (0.5,)])
def test_any_accuracies_lie_within_the_axes(make_run, accuracies: tuple[float, ...]) -> None:
    run = read_run(make_run([probe(n, a, (30, 1)) for n, a in enumerate(accuracies)]))
    chart = drawn(run)
    assert "nan" not in chart.wide
    ticks = [t.text for t in ElementTree.fromstring(chart.narrow).iter("text")]
    assert "101" not in ticks
    assert all(float(dot.get("cy") or 0) > 0 for dot in circles(chart.narrow, "strong"))


def test_a_long_curve_has_no_marks_but_the_start(make_run) -> None:
    run = read_run(make_run([probe(n, 0.3) for n in range(100)]))
    chart = drawn(run)
    assert circles(chart.wide, "strong") == []
    assert len(circles(chart.wide, "first")) == 1


@pytest.mark.parametrize(
    ("first", "last", "images", "words"),
    [
        (0.3, 0.5, 256, "Better than the untrained network: 50.0 % after epoch 3 against 30.0 %"),
        (0.5, 0.3, 256, "Worse than the untrained network: 30.0 % after epoch 3 against 50.0 %"),
        (0.3, 0.35, 256, "Not shown to be better than the untrained network: 35.0 %"),
        (0.3, 0.5, 20, "which chance may explain with 20 images"),
        (0.5, 0.5, 256, "Not shown to be better"),
        (0.0, 1.0, 1, "which chance may explain with 1 image."),
    ],
)
def test_better_is_more_than_chance(make_run, first, last, images, words) -> None:
    run = read_run(make_run([probe(0, first, (99, images)), probe(3, last, (99, images))]))
    assert words in compared(run).replace("\u00a0", " ")


def test_what_it_is_compared_with_is_called_what_it_is(make_run) -> None:
    metrics = [probe(0, 0.3), probe(3, 0.5)]
    run = read_run(make_run(metrics, config={"init": "runs/first/weights.safetensors"}))
    assert compared(run).startswith("Better than the network at the start")
    chart = drawn(run)
    assert "untrained" not in chart.wide + str(chart.legend)
    assert "untrained" in compared(read_run(make_run(metrics, config={"init": "scratch"})))


def test_nothing_is_compared_before_there_is_something(make_run) -> None:
    run = read_run(make_run([probe(0, 0.3)]))
    assert compared(run) == "So far only the untrained network is measured: 30.0\u00a0%."
    run = read_run(make_run([probe(2, 0.3), probe(3, 0.5)]))  # as when asked for on a resume
    assert "no accuracy before the first epoch" in compared(run)
    chart = drawn(run)
    assert circles(chart.wide, "first") == []


@pytest.mark.parametrize(
    "line",
    [
        probe(3, None),
        probe(3, 1.5),
        probe(3, 0.9, images=None),
        probe(3, 0.9, images=[1024]),
        probe(3, 0.9, images=[1024, 0]),
        probe(3, 0.9, images=["x", 3]),
        {"kind": "probe", "step": 6},
    ],
)
def test_a_line_that_is_not_whole_is_left_out(make_run, line: dict[str, object]) -> None:
    run = read_run(make_run([probe(0, 0.25), probe(2, 0.5), line]))
    assert read_probes(run).accuracy.tolist() == [0.25, 0.5]
    assert "256" in page(run)


def test_the_interval_is_newcombes() -> None:
    # The paper's example (a) of table II: 56/70 less 48/80, method 10.
    low, high = difference_interval((56 / 70, 70), (48 / 80, 80))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


@pytest.mark.parametrize(("one", "other"), [(0.0, 0.0), (1.0, 0.0), (0.3, 0.7)])
def test_the_interval_of_the_opposite_is_its_mirror(one: float, other: float) -> None:
    low, high = difference_interval((one, 13), (other, 40))
    assert difference_interval((other, 40), (one, 13)) == pytest.approx((-high, -low))
    assert -1 <= low <= one - other <= high <= 1


def test_numbers_that_decide_the_run_are_not_shown_twice(make_run) -> None:
    run: Path = make_run([probe(0, 0.3)], config={"probe": {"names": "0123abcd"}})
    assert "0123abcd" not in Page(write_report(run)).text
