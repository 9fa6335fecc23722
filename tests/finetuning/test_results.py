import json
import math
from pathlib import Path

import pytest

from fcmae.finetuning import results
from fcmae.finetuning.page import page
from fcmae.finetuning.results import Validations, read_results
from fcmae.report.run import read_run


def change(run: Path, **parts: object) -> None:
    path = run / "validation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))


def validations_of(run: Path) -> Validations:
    return read_results(read_run(run)).validations


def test_what_was_found_is_read_whole(finetuned_run: Path) -> None:
    found = read_results(read_run(finetuned_run))
    assert found.best is not None
    assert found.best[:3] == (1, True, 0.85)
    assert math.isnan(found.best.top_5)
    assert found.calibration_error == 0.04
    assert found.train_images.tolist() == [300, 60, 40]
    assert found.images.tolist() == [10, 8, 2]
    assert [mistake.label for mistake in found.mistakes] == ["tulip", "rose"]
    assert [mistake.picture is None for mistake in found.mistakes] == [False, True]


def test_validations_of_the_model_and_of_its_average_stand_apart(finetuned_run: Path) -> None:
    validations = validations_of(finetuned_run)
    assert validations.accuracy.tolist() == [0.8, 0.7]
    assert validations.average_accuracy.tolist() == pytest.approx([0.85, 0.75])
    assert validations.average_loss.tolist() == [1.0, 0.5]
    assert all(math.isnan(value) for value in validations.top_5)


def test_a_run_without_average_has_none(make_run) -> None:
    line = {"kind": "validation", "step": 1, "epoch": 1, "accuracy": 0.5, "average": None}
    validations = validations_of(make_run([line]))
    assert validations.accuracy.tolist() == [0.5]
    assert math.isnan(validations.average_accuracy[0])


def test_unreadable_files_of_both_lists_are_named_once(finetuned_run: Path) -> None:
    change(finetuned_run, unreadable=[["daisy/empty.jpg", "empty"], ["rose/x.jpg", "no image"]])
    text = page(read_run(finetuned_run))
    assert text.count("daisy/empty.jpg") == text.count("rose/x.jpg") == 1
    assert "2 files of 420" in text


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
    found = read_results(read_run(finetuned_run))
    assert found.confusion.shape == (0, 0)
    assert found.images.shape == (0,)


def test_pictures_of_mistakes_stop_at_the_budget(finetuned_run: Path, monkeypatch) -> None:
    picture = (finetuned_run / "mistakes" / "0.webp").read_bytes()
    (finetuned_run / "mistakes" / "1.webp").write_bytes(picture)
    monkeypatch.setattr(results, "BUDGET", len(picture) * 3 // 2)
    assert len(read_results(read_run(finetuned_run)).mistakes) == 1


def test_the_best_is_that_whose_weights_are_kept(finetuned_run: Path) -> None:
    found = read_results(read_run(finetuned_run)).best
    assert found is not None
    assert (found.epoch, found.averaged, found.accuracy, found.images) == (1, True, 0.85, 20)


def test_without_its_file_the_best_is_found_in_the_curves(finetuned_run: Path) -> None:
    (finetuned_run / "validation.json").unlink()
    found = read_results(read_run(finetuned_run)).best
    assert found is not None
    assert (found.epoch, found.averaged, found.images) == (1, True, 20)
    assert found.accuracy == pytest.approx(0.85)


def test_of_equal_accuracies_the_first_is_best(make_run) -> None:
    metrics = [
        {"kind": "validation", "step": e, "epoch": e, "accuracy": a}
        for e, a in ((1, 0.2), (2, 0.6), (3, 0.6))
    ]
    found = read_results(read_run(make_run(metrics))).best
    assert found is not None
    assert (found.epoch, found.averaged, found.images) == (2, False, 0)


def test_before_the_first_validation_there_is_no_best(make_run) -> None:
    run = read_run(make_run([{"kind": "validation", "step": 1, "accuracy": None}]))
    assert read_results(run).best is None
