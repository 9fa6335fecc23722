import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from report.page import Page, assert_self_contained

from fcmae.finetuning.page import fit, key_figures, learning_chart, page, verdict
from fcmae.finetuning.results import Results, read_results
from fcmae.report import write_report
from fcmae.report.inline import LEFT, RIGHT, WIDE, Drawing, draw_inline
from fcmae.report.run import Run, read_run

MOST_CELLS = 30
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'
PARTS = {"learning", "confusion", "classes", "imbalance", "mistakes", "calibration"}


def change(run: Path, **parts: object) -> None:
    path = run / "validation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))


def with_results(folder: Path) -> tuple[Run, Results]:
    run = read_run(folder)
    return run, read_results(run)


def text_of(folder: Path) -> str:
    return re.sub(r"\s*\n\s*", " ", page(read_run(folder)))


def said(folder: Path) -> str:
    return " ".join(sentence for sentence in verdict(*with_results(folder)) if sentence)


def drawn(folder: Path) -> Drawing:
    chart = learning_chart(*with_results(folder))
    assert chart is not None
    return draw_inline(chart)


def test_a_report_has_every_part_and_none_of_pre_training(finetuned_run: Path) -> None:
    page = Page(write_report(finetuned_run))
    assert PARTS | {"throughput", "unreadable", "departures", "again"} <= page.ids()
    assert not page.ids() & {"loss", "reconstructions", "diversity"}
    assert "Fine-tuning" in page.text
    assert "Masked pre-training" not in page.text
    assert "differs from Table 2 of" in page.text
    assert "Table 1" not in page.text
    assert "rose/broken.jpg" in page.text
    assert "2 files of 420" in page.text
    assert "fcmae finetune --data flowers --out runs/second" in page.text
    assert sum(tag == "img" for tag, _ in page.tags) == 1  # the other mistake has no picture
    assert "appear" not in page.text


def test_pre_training_has_none_of_fine_tuning(full_run: Path) -> None:
    page = Page(write_report(full_run))
    assert not page.ids() & PARTS
    assert "--wrong" not in page.text


def test_nothing_outside_the_page_is_referred_to(finetuned_run: Path) -> None:
    assert_self_contained(write_report(finetuned_run))


@pytest.mark.parametrize("number", [2, MOST_CELLS + 1])
def test_whatever_a_name_holds_stays_text(finetuned_run: Path, number: int) -> None:
    confusion = [[1] * number for _ in range(number)]
    mistake = {"name": EVIL, "label": EVIL, "predicted": EVIL, "confidence": 0.9}
    change(
        finetuned_run,
        classes=[EVIL + str(place) for place in range(number)],
        confusion=confusion,
        train_images=[100] + [1] * (number - 1),
        mistakes=[mistake],
        unreadable=[[EVIL, EVIL]],
    )
    config = json.loads((finetuned_run / "config.json").read_text())
    config |= {"init": EVIL, "table": EVIL, "command": EVIL}
    (finetuned_run / "config.json").write_text(json.dumps(config))
    stop = {"kind": "stop", "step": 4, "epoch": 2, "because": EVIL}
    with (finetuned_run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(stop) + "\n")
    path = write_report(finetuned_run)
    assert "<script" not in path.read_text(encoding="utf-8")
    page = Page(path)
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.text.count(EVIL) >= 12


NAMES = ["x" * 300, "珍しい鳥 🦩", "مالك الحزين", "\udcff.d", ""]


def test_names_of_any_script_and_length_are_shown(finetuned_run: Path) -> None:
    change(finetuned_run, classes=NAMES, confusion=[[2] * 5] * 5, train_images=[1] * 5)
    page = Page(write_report(finetuned_run))
    assert all(name in page.text for name in NAMES[:3])
    assert "\\udcff.d" in page.text


def test_a_run_that_has_only_begun_says_what_will_appear(make_run) -> None:
    page = Page(write_report(make_run(config={"task": "finetune"})))
    assert page.text.count("appear") == 3
    assert not page.ids() & (PARTS - {"learning", "confusion"})


@pytest.mark.parametrize(
    "absent", ["metrics.jsonl", "timing.jsonl", "validation.json", "unreadable.json"]
)
def test_a_missing_file_is_no_error(finetuned_run: Path, absent: str) -> None:
    (finetuned_run / absent).unlink()
    text = Page(write_report(finetuned_run)).text
    assert "At best" in text  # either of two files says what was best
    assert "nan" not in text


JUNK = [None, "x", 3, -1.5, [], {}, [None], [[]], [{}], {"a": 1}, float("nan"), float("inf")]


@pytest.mark.parametrize(
    "part",
    [
        "epoch",
        "of",
        "classes",
        "train_images",
        "images",
        "confusion",
        "accuracy",
        "top_5",
        "calibration_error",
        "mistakes",
        "unreadable",
    ],
)
def test_a_damaged_part_is_no_error(finetuned_run: Path, part: str) -> None:
    for junk in JUNK:
        change(finetuned_run, **{part: junk})
        text = Page(write_report(finetuned_run)).text
        assert "convnextv2_atto" in text
        assert not re.search(r"\b(nan|inf)\b", text)


def test_damaged_lines_of_the_curves_are_no_error(finetuned_run: Path) -> None:
    (finetuned_run / "validation.json").write_text("{")
    with (finetuned_run / "metrics.jsonl").open("a") as file:
        for junk in JUNK:
            line = {"kind": "validation", "step": 5, "epoch": junk, "loss": junk, "average": junk}
            file.write(json.dumps({**line, "accuracy": junk, "top_5": junk}) + "\n")
            file.write(json.dumps({"kind": "stop", "epoch": junk, "because": junk}) + "\n")
    assert "85.0" in Page(write_report(finetuned_run)).text


def test_of_very_many_classes_the_page_says_where_the_confusions_are(finetuned_run: Path) -> None:
    change(finetuned_run, classes=list(map(str, range(1001))), confusion=None)
    page = Page(write_report(finetuned_run))
    assert "fcmae evaluate --json" in page.text


def test_a_perfect_model_of_many_classes_has_no_confusion(finetuned_run: Path) -> None:
    number = MOST_CELLS + 1
    confusion = [[int(a == b) for a in range(number)] for b in range(number)]
    change(finetuned_run, classes=list(map(str, range(number))), confusion=confusion, mistakes=[])
    page = Page(write_report(finetuned_run))
    assert "every validation image was classified correctly" in page.text
    assert "mistakes" not in page.ids()


def test_a_thousand_classes_stay_small(finetuned_run: Path) -> None:
    number = 1000
    confusion = [[int((a + 2 * b) % 7 == 0) for a in range(number)] for b in range(number)]
    names = [f"class {place}" for place in range(number)]
    change(finetuned_run, classes=names, confusion=confusion, train_images=[500] * 999 + [3])
    path = write_report(finetuned_run)
    assert path.stat().st_size < 1_000_000
    page = Page(path)
    assert "Most frequent confusions" in page.text
    assert page.text.count("980 more") == 2


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def validation(epoch: int, accuracy: float, average: float | None = None) -> dict[str, object]:
    line = {"kind": "validation", "step": 2 * epoch, "epoch": epoch, "accuracy": accuracy}
    return {**line, "average": None if average is None else {"accuracy": average}}


def test_a_finished_run_in_words(finetuned_run: Path) -> None:
    assert plain(said(finetuned_run)) == (
        "At best, after epoch 1 of 2, the averaged weights classified 85.0 % of the 20 validation "
        "images correctly. Of all images like these it would be 64.0 % to 94.8 %, with 95 % "
        "confidence."
    )


def test_a_model_that_beats_its_average_is_mentioned(make_run) -> None:
    run = make_run([validation(1, 0.5, 0.3), validation(2, 0.7, 0.6)])
    text = plain(said(run))
    assert "averaged weights classified 60.0 %" in text
    assert "; without averaging it was 70.0 % after epoch 2." in text


def test_without_an_average_there_is_no_word_of_it(make_run) -> None:
    run = make_run([validation(1, 0.5)])
    text = plain(said(run))
    assert "after epoch 1 of 2, the model classified 50.0 % of the validation images" in text
    assert "averag" not in text
    assert "confidence" not in text  # of an unknown number of images


def test_before_the_first_validation_the_loss_speaks(make_run) -> None:
    run = make_run([{"kind": "step", "step": 1, "loss": 1.5}])
    assert said(run) == "Step 1 of 4 (25 %). The loss is 1.500 at the only step logged."


def test_a_run_that_stopped_early_says_why(make_run) -> None:
    stop = {"kind": "stop", "step": 2, "epoch": 1, "because": "no better accuracy for 1 epoch"}
    text = said(make_run([validation(1, 0.5), stop], config={"steps": 90}))
    assert text.startswith("Stopped early, after epoch 1: no better accuracy for 1 epoch. At best")


def test_a_broken_loss_and_the_best_before_it_are_both_told(make_run) -> None:
    steps = [{"kind": "step", "step": n, "loss": loss} for n, loss in ((1, 1.0), (3, None))]
    text = said(make_run([*steps, validation(1, 0.5)]))
    assert "not a finite number at step 3, the first of 1: lower the learning rate." in text
    assert "At best" in text


def test_an_epoch_that_is_unknown_is_left_out(finetuned_run: Path) -> None:
    path = finetuned_run / "validation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "epoch": None}))
    assert said(finetuned_run).startswith("At best the averaged weights")
    assert key_figures(*with_results(finetuned_run))[0].note == "best"


def test_key_figures(finetuned_run: Path) -> None:
    figures = {
        figure.name: plain(figure.value) for figure in key_figures(*with_results(finetuned_run))
    }
    assert figures == {
        "Accuracy": "85.0 %",
        "Epochs": "2",
        "Training images": "400",
        "Classes": "3",
        "Time": "9 s",
        "Images a second": "50",
    }


def changed(run: Path, **parts: object) -> str:
    change(run, **parts)
    return text_of(run)


def test_guessing_has_its_loss(finetuned_run: Path) -> None:
    assert "3 classes scores 1.10" in page(read_run(finetuned_run))


def test_of_unknown_classes_there_is_no_guessing(make_run) -> None:
    assert "guessing" not in page(read_run(make_run(config={"task": "finetune", "data": {}})))


@pytest.mark.parametrize(
    ("error", "says"), [(0.01, "as a probability"), (0.1, "rough guide"), (0.3, "is no probab")]
)
def test_calibration_is_judged(finetuned_run: Path, error: float, says: str) -> None:
    text = changed(finetuned_run, calibration_error=error)
    assert f"{100 * error:.1f} percentage points" in text
    assert says in text
    assert "With so few images" in text


def test_many_images_leave_little_to_chance(finetuned_run: Path) -> None:
    text = changed(finetuned_run, confusion=[[1000, 0, 0]] * 3)
    assert "With so few" not in text


def test_the_mean_over_classes_counts_each_the_same(finetuned_run: Path) -> None:
    text = page(read_run(finetuned_run))
    assert "it is 62.5\u00a0%." in text  # of 1, 0.875 and 0


@pytest.mark.parametrize(
    ("empty", "says"), [(1, "One class has no validation image"), (2, "2 classes have no")]
)
def test_classes_without_images_are_counted(finetuned_run: Path, empty: int, says: str) -> None:
    confusion = [[4, 0, 0], [1, 7, 0], [2, 0, 0]][: 3 - empty] + [[0, 0, 0]] * empty
    assert says in changed(finetuned_run, confusion=confusion)


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ([300, 60, 40], "“daisy” has 7.5 times as many training images as “tulip”"),
        ([9000, 60, 6], "“daisy” has 1,500 times"),
        ([300, 0, 40], "Some classes have no training image, “rose” among them"),
    ],
)
def test_imbalance_is_measured(finetuned_run: Path, train: list[int], says: str) -> None:
    assert says in changed(finetuned_run, train_images=train)


def run_of(
    make_run,
    losses: Sequence[float],
    train: Sequence[float] | None = None,
    accuracies: Sequence[float] | None = None,
    confusion: list[list[int]] | None = None,
    stop: bool = False,
) -> tuple[Run, Results]:
    number = len(losses)
    train = train or [2.0 - 0.1 * epoch for epoch in range(number)]
    accuracies = accuracies or [0.8] * number
    metrics: list[dict[str, object]] = []
    for place in range(number):
        line = {"step": place + 1, "epoch": place + 1}
        metrics.append({"kind": "epoch", **line, "loss": train[place]})
        measured = {"loss": losses[place], "accuracy": accuracies[place]}
        metrics.append({"kind": "validation", **line, **measured})
    if stop:
        metrics.append({"kind": "stop", "step": number, "epoch": number, "because": "asked"})
    folder: Path = make_run(metrics, config={"task": "finetune", "steps": number})
    confusion = confusion or [[400, 100], [100, 400]]
    best = max(range(number), key=lambda place: accuracies[place])
    found = {"epoch": best + 1, "accuracy": accuracies[best], "classes": ["cat", "dog"]}
    (folder / "validation.json").write_text(json.dumps({**found, "confusion": confusion}))
    return with_results(folder)


def test_a_validation_loss_that_rises_while_the_training_loss_falls_is_overfitting(
    make_run,
) -> None:
    text = fit(*run_of(make_run, [1.0, 0.6, 0.7, 0.8, 0.9]))
    assert text.startswith("It overfits: since epoch 2 the validation loss has risen from 0.600")
    assert "0.900" in text
    assert "not suffered" not in text


def test_overfitting_that_costs_no_accuracy_is_said_to(make_run) -> None:
    accuracies = [0.7, 0.75, 0.78, 0.79, 0.8]
    text = fit(*run_of(make_run, [1.0, 0.6, 0.7, 0.8, 0.9], accuracies=accuracies))
    assert "the accuracy has not suffered" in text


@pytest.mark.parametrize(
    ("losses", "train"),
    [
        ([1.0, 0.8, 0.7, 0.6, 0.6], None),  # it falls
        ([1.0, 0.6, 0.62, 0.61, 0.63], None),  # noise
        ([1.0, 0.8, 0.7, 0.6, 0.9], None),  # one outlier at the end
        ([1.0, 0.6, 0.7, 0.8, 0.9], [1.0, 1.1, 1.2, 1.3, 1.4]),  # both rise: that is no overfitting
        ([0.6], None),
    ],
)
def test_what_is_no_overfitting_is_not_called_so(make_run, losses, train) -> None:
    assert fit(*run_of(make_run, losses, train)) == ""


RISING = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def test_an_accuracy_that_still_rises_at_the_end_wants_more_epochs(make_run) -> None:
    text = fit(*run_of(make_run, [1.0] * 6, accuracies=RISING))
    assert "from 70.0\u00a0% after epoch 5 to 80.0\u00a0%; more epochs would help" in text


def test_a_rise_that_chance_explains_or_that_was_stopped_wants_nothing(make_run) -> None:
    flat = [0.3, 0.4, 0.5, 0.6, 0.79, 0.8]
    assert fit(*run_of(make_run, [1.0] * 6, accuracies=flat)) == ""
    assert fit(*run_of(make_run, [1.0] * 6, accuracies=RISING, stop=True)) == ""


@pytest.mark.parametrize(("accuracy", "says"), [(0.9, "no better"), (0.91, "hardly better")])
def test_what_guessing_the_largest_class_reaches_is_nothing(make_run, accuracy, says) -> None:
    confusion = [[900, 0], [90, 10]]
    text = fit(*run_of(make_run, [1.0], accuracies=[accuracy], confusion=confusion))
    assert text == f"That is {says} than always answering “cat” (90.0\u00a0%)."


def test_one_class_alone_is_not_compared_with_guessing_it(make_run) -> None:
    confusion = [[10, 0], [0, 0]]
    assert fit(*run_of(make_run, [1.0], accuracies=[1.0], confusion=confusion)) == ""


def lines_of(svg: str) -> list[str | None]:
    return [line.get("class") for line in ElementTree.fromstring(svg).findall("polyline")]


def test_accuracy_stands_between_loss_and_learning_rate(finetuned_run: Path) -> None:
    chart = drawn(finetuned_run)
    for svg, width in ((chart.wide, 860), (chart.narrow, 360)):
        drawing = ElementTree.fromstring(svg)
        assert drawing.get("viewBox").split()[2] == str(width)
        texts = [text.text for text in drawing.iter("text")]
        places = [texts.index(t) for t in ("Loss", "Accuracy on validation images (%)", "step")]
        assert places == sorted(places)
        assert places[1] < texts.index("Learning rate")


def test_the_model_and_its_average_are_drawn_in_both_panels(finetuned_run: Path) -> None:
    chart = drawn(finetuned_run)
    lines = lines_of(chart.wide)
    assert lines.count("line second") == lines.count("line third") == 2
    meanings = [meaning for *_, meaning in chart.legend]
    assert meanings[1:3] == ["validation", "validation, averaged weights"]


def test_the_best_epoch_is_marked_where_it_ended(finetuned_run: Path) -> None:
    chart = drawn(finetuned_run)
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
    chart = drawn(make_run([line]))
    drawing = ElementTree.fromstring(chart.narrow)
    assert drawing.findall("polyline") == []
    levels = [float(c.get("cy")) for c in drawing.iter("circle")]
    assert min(levels) > 0
    assert "101" not in [text.text for text in drawing.iter("text")]
    assert "averaged" not in str(chart.legend)


def test_before_any_validation_the_loss_is_drawn_alone(make_run) -> None:
    steps = [{"kind": "step", "step": n, "loss": 1.0 / n} for n in (1, 2, 3)]
    chart = drawn(make_run(steps))
    assert "Accuracy" not in chart.wide
    assert lines_of(chart.wide) == ["line faint", "line strong"]


def test_nothing_logged_is_nothing_drawn(make_run) -> None:
    assert learning_chart(*with_results(make_run())) is None


def test_a_mark_needs_an_epoch_that_is_in_the_curves(finetuned_run: Path) -> None:
    (finetuned_run / "metrics.jsonl").write_text('{"kind": "step", "step": 1, "loss": 1.0}\n')
    chart = drawn(finetuned_run)
    assert "best" not in " ".join(str(line) for line in lines_of(chart.wide))
    assert 'best"' not in chart.wide


def cells(folder: Path) -> list[tuple[str, str, str]]:
    pattern = r'<td class="([^"]*)" title="([^"]*)" style="--depth: ([0-9.]+)">'
    return re.findall(pattern, page(read_run(folder)))


def test_rows_of_the_matrix_are_the_true_classes(finetuned_run: Path) -> None:
    assert cells(finetuned_run) == [
        ("right deep", "daisy, classified as daisy: 10 of 10", "1.00"),
        ("wrong", "rose, classified as daisy: 1 of 8", "0.35"),
        ("right deep", "rose, classified as rose: 7 of 8", "0.88"),
        ("wrong deep", "tulip, classified as daisy: 2 of 2", "1.00"),
    ]
    rows = Page(write_report(finetuned_run)).text.split("said →")[1].split()
    assert rows[:4] == ["daisyrosetulip", "daisy10", "rose17", "tulip2"]
    assert "The numbers are images." in text_of(finetuned_run)


def test_numbers_too_long_for_a_cell_are_shares(finetuned_run: Path) -> None:
    change(finetuned_run, classes=["cat", "dog"], confusion=[[1998, 2], [500, 1500]])
    text = text_of(finetuned_run)
    assert "The numbers are per cent of the row." in text
    assert re.findall(r'">([<&lt;0-9]+)</td>', text)[:4] == ["100", "&lt;1", "25", "75"]
