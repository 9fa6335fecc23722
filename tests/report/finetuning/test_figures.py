from pathlib import Path
from xml.etree import ElementTree

import pytest
from fcmae.report.figures import WIDE
from fcmae.report.finetuning.figures import learning_chart
from fcmae.report.read import read_run

from fcmae.report.charts import LEFT, RIGHT


def looks(svg: str) -> list[str | None]:
    return [line.get("class") for line in ElementTree.fromstring(svg).findall("polyline")]


def test_accuracy_stands_between_loss_and_learning_rate(finetuned_run: Path) -> None:
    chart = learning_chart(read_run(finetuned_run))
    assert chart is not None
    for svg, width in ((chart.wide, 860), (chart.narrow, 360)):
        drawing = ElementTree.fromstring(svg)
        assert drawing.get("viewBox").split()[2] == str(width)
        texts = [text.text for text in drawing.iter("text")]
        places = [texts.index(t) for t in ("Loss", "Accuracy on validation images (%)", "step")]
        assert places == sorted(places)
        assert places[1] < texts.index("Learning rate")


def test_the_model_and_its_average_are_drawn_in_both_panels(finetuned_run: Path) -> None:
    chart = learning_chart(read_run(finetuned_run))
    assert chart is not None
    drawn = looks(chart.wide)
    assert drawn.count("line second") == drawn.count("line third") == 2
    meanings = [meaning for _, meaning in chart.legend]
    assert meanings[-2:] == ["validation", "validation, averaged weights"]


def test_the_best_epoch_is_marked_where_it_ended(finetuned_run: Path) -> None:
    chart = learning_chart(read_run(finetuned_run))
    assert chart is not None
    drawing = ElementTree.fromstring(chart.wide)
    marks = [g for g in drawing.findall("g") if "best" in (g.get("class") or "")]
    assert [g.get("class") for g in marks] == ["dots third best"]
    assert marks[0][0][0].text == "epoch 1: 85.0\u00a0%"
    middle = LEFT + (WIDE - RIGHT - LEFT) / 2  # step 2 of 4
    assert float(marks[0][0].get("cx")) == pytest.approx(middle, abs=0.1)
    uprights = [path.get("d") for path in drawing.findall("path")]
    assert sum(d.startswith(f"M{middle:.1f} ") for d in uprights) == 3  # one a panel


def test_a_first_validation_is_a_mark_and_perfect_is_within_the_axis(make_run) -> None:
    line = {"kind": "validation", "step": 2, "epoch": 1, "loss": 0.1, "accuracy": 1.0}
    chart = learning_chart(read_run(make_run([line])))
    assert chart is not None
    drawing = ElementTree.fromstring(chart.narrow)
    assert drawing.findall("polyline") == []
    levels = [float(c.get("cy")) for c in drawing.iter("circle")]
    assert min(levels) > 0
    assert "101" not in [text.text for text in drawing.iter("text")]
    assert "averaged" not in str(chart.legend)


def test_before_any_validation_the_loss_is_drawn_alone(make_run) -> None:
    steps = [{"kind": "step", "step": n, "loss": 1.0 / n} for n in (1, 2, 3)]
    chart = learning_chart(read_run(make_run(steps)))
    assert chart is not None
    assert "Accuracy" not in chart.wide
    assert looks(chart.wide) == ["line faint", "line strong"]


def test_nothing_logged_is_nothing_drawn(make_run) -> None:
    assert learning_chart(read_run(make_run())) is None


def test_a_mark_needs_an_epoch_that_is_in_the_curves(finetuned_run: Path) -> None:
    (finetuned_run / "metrics.jsonl").write_text('{"kind": "step", "step": 1, "loss": 1.0}\n')
    chart = learning_chart(read_run(finetuned_run))
    assert chart is not None
    assert "best" not in " ".join(str(look) for look in looks(chart.wide))
    assert 'best"' not in chart.wide
