import math
from pathlib import Path

import pytest

from fcmae.report.finetuning.accuracy import best, interval
from fcmae.report.read import read_run


@pytest.mark.parametrize(("right", "images"), [(17, 20), (1, 13), (450, 500), (25_000, 50_000)])
def test_the_ends_of_the_interval_are_where_the_share_is_two_deviations_off(
    right: int, images: int
) -> None:
    share = right / images
    for end in interval(share, images):
        deviation = math.sqrt(end * (1 - end) / images)
        assert abs(share - end) / deviation == pytest.approx(1.96, abs=1e-3)


def test_the_interval_is_as_published() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I, method 3
    for right, images, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert interval(right / images, images) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("images", [1, 1000])
def test_all_or_none_right_is_not_certain(share: float, images: int) -> None:
    low, high = interval(share, images)
    assert 0 <= low < high <= 1


def test_the_best_is_that_whose_weights_are_kept(finetuned_run: Path) -> None:
    found = best(read_run(finetuned_run))
    assert found is not None
    assert (found.epoch, found.averaged, found.accuracy, found.images) == (1, True, 0.85, 20)


def test_without_its_file_the_best_is_found_in_the_curves(finetuned_run: Path) -> None:
    (finetuned_run / "validation.json").unlink()
    found = best(read_run(finetuned_run))
    assert found is not None
    assert (found.epoch, found.averaged, found.images) == (1, True, 20)
    assert found.accuracy == pytest.approx(0.85)


def test_of_equal_accuracies_the_first_is_best(make_run) -> None:
    metrics = [
        {"kind": "validation", "step": e, "epoch": e, "accuracy": a}
        for e, a in ((1, 0.2), (2, 0.6), (3, 0.6))
    ]
    found = best(read_run(make_run(metrics)))
    assert found is not None
    assert (found.epoch, found.averaged, found.images) == (2, False, 0)


def test_before_the_first_validation_there_is_no_best(make_run) -> None:
    assert best(read_run(make_run([{"kind": "validation", "step": 1, "accuracy": None}]))) is None
