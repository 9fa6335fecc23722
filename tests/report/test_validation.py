import json
import math
from pathlib import Path

import pytest

from fcmae.report import validation
from fcmae.report.read import read_run
from fcmae.report.validation import read_outcome


def change(run: Path, **parts: object) -> None:
    path = run / "validation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))


def test_an_outcome_is_read_whole(finetuned_run: Path) -> None:
    outcome = read_outcome(finetuned_run)
    assert outcome.averaged
    assert (outcome.epoch, outcome.accuracy, outcome.calibration_error) == (1, 0.85, 0.04)
    assert math.isnan(outcome.top_5)
    assert outcome.train_images.tolist() == [300, 60, 40]
    assert outcome.images.tolist() == [10, 8, 2]
    assert [mistake.label for mistake in outcome.mistakes] == ["tulip", "rose"]
    assert [mistake.picture is None for mistake in outcome.mistakes] == [False, True]


def test_validations_of_the_model_and_of_its_average_stand_apart(finetuned_run: Path) -> None:
    validations = read_run(finetuned_run).validations
    assert validations.accuracy.tolist() == [0.8, 0.7]
    assert validations.average_accuracy.tolist() == pytest.approx([0.85, 0.75])
    assert validations.average_loss.tolist() == [1.0, 0.5]
    assert all(math.isnan(value) for value in validations.top_5)


def test_a_run_without_average_has_none(make_run) -> None:
    line = {"kind": "validation", "step": 1, "epoch": 1, "accuracy": 0.5, "average": None}
    validations = read_run(make_run([line])).validations
    assert validations.accuracy.tolist() == [0.5]
    assert math.isnan(validations.average_accuracy[0])


def test_a_stop_is_read(make_run) -> None:
    stop = {"kind": "stop", "step": 2, "epoch": 1, "because": "no better"}
    run = read_run(make_run([stop], config={"steps": 90}))
    assert run.stop is not None
    assert (run.stop.epoch, run.stop.because) == (1, "no better")
    assert run.finished


def test_unreadable_files_of_both_lists_are_named_once(finetuned_run: Path) -> None:
    change(finetuned_run, unreadable=[["daisy/empty.jpg", "empty"], ["rose/x.jpg", "no image"]])
    names = [name for name, _ in read_run(finetuned_run).unreadable]
    assert names == ["daisy/empty.jpg", "rose/x.jpg"]


@pytest.mark.parametrize(
    "confusion",
    [
        None,
        "x",
        {},
        [],
        [[1, 2], [3, 4]],
        [[1, 2, 3], [4, 5]],
        [[-1] * 3] * 3,
        [[None] * 3] * 3,
        [["x"] * 3] * 3,
    ],
)
def test_a_confusion_of_another_shape_is_none(finetuned_run: Path, confusion: object) -> None:
    change(finetuned_run, confusion=confusion)
    outcome = read_outcome(finetuned_run)
    assert outcome.confusion.shape == (0, 0)
    assert outcome.images.shape == (0,)


def test_pictures_of_mistakes_stop_at_the_budget(finetuned_run: Path, monkeypatch) -> None:
    picture = (finetuned_run / "mistakes" / "0.webp").read_bytes()
    (finetuned_run / "mistakes" / "1.webp").write_bytes(picture)
    monkeypatch.setattr(validation, "BUDGET", len(picture) * 3 // 2)
    assert len(read_outcome(finetuned_run).mistakes) == 1
