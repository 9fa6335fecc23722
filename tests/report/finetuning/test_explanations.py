import json
from pathlib import Path

import pytest
from fcmae.report.finetuning import explanations
from fcmae.report.read import Run, read_run


def changed(run: Path, **parts: object) -> Run:
    path = run / "validation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))
    return read_run(run)


def test_guessing_has_its_loss(finetuned_run: Path) -> None:
    assert "3 classes scores 1.10" in explanations.learning(read_run(finetuned_run))


def test_of_unknown_classes_there_is_no_guessing(make_run) -> None:
    assert "guessing" not in explanations.learning(read_run(make_run(config={"data": {}})))


@pytest.mark.parametrize(
    ("error", "says"), [(0.01, "as a probability"), (0.1, "rough guide"), (0.3, "is no probab")]
)
def test_calibration_is_judged(finetuned_run: Path, error: float, says: str) -> None:
    text = explanations.calibration(changed(finetuned_run, calibration_error=error))
    assert f"{100 * error:.1f} percentage points" in text
    assert says in text
    assert "With so few images" in text


def test_many_images_leave_little_to_chance(finetuned_run: Path) -> None:
    run = changed(finetuned_run, confusion=[[1000, 0, 0]] * 3)
    assert "With so few" not in explanations.calibration(run)


def test_the_mean_over_classes_counts_each_the_same(finetuned_run: Path) -> None:
    text = explanations.classes(read_run(finetuned_run))
    assert text.endswith("it is 62.5\u00a0%.")  # of 1, 0.875 and 0


@pytest.mark.parametrize(
    ("empty", "says"), [(1, "One class has no validation image"), (2, "2 classes have no")]
)
def test_classes_without_images_are_counted(finetuned_run: Path, empty: int, says: str) -> None:
    confusion = [[4, 0, 0], [1, 7, 0], [2, 0, 0]][: 3 - empty] + [[0, 0, 0]] * empty
    assert says in explanations.classes(changed(finetuned_run, confusion=confusion))


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ([300, 60, 40], "“daisy” has 7.5 times as many training images as “tulip”"),
        ([9000, 60, 6], "“daisy” has 1,500 times"),
        ([300, 0, 40], "Some classes have no training image, “rose” among them"),
    ],
)
def test_imbalance_is_measured(finetuned_run: Path, train: list[int], says: str) -> None:
    assert explanations.imbalance(changed(finetuned_run, train_images=train)).startswith(says)
