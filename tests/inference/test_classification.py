"""The measures against loops, and against sums that were done by hand."""

import math

import pytest
import torch

from fcmae.inference.classification import calibration_error, class_accuracy, confusion, ranks


@pytest.mark.parametrize(("images", "classes"), [(1, 1), (1, 13), (57, 6)])
def test_a_rank_is_the_place_in_the_sorted_list(images: int, classes: int) -> None:
    logits = torch.randint(-3, 4, (images, classes)).double()  # many are equal
    labels = torch.randint(0, classes, (images,))
    for row, label, rank in zip(
        logits.tolist(), labels.tolist(), ranks(logits, labels), strict=True
    ):
        order = sorted(range(classes), key=lambda number: (-row[number], number))
        assert order.index(label) == rank


def test_rank_zero_is_what_argmax_takes() -> None:
    logits = torch.randint(0, 3, (200, 4)).float()
    labels = torch.randint(0, 4, (200,))
    assert torch.equal(ranks(logits, labels) == 0, logits.argmax(1) == labels)


def test_calibration_by_hand() -> None:
    # Of ten bins: (0.2, 0.3] has one image, wrong, 0.3; (0.8, 0.9] three, two right, 0.85 each.
    confidences = torch.tensor([0.3, 0.85, 0.85, 0.85], dtype=torch.float64)
    correct = torch.tensor([False, True, True, False])
    expected = (1 * 0.3 + 3 * abs(0.85 - 2 / 3)) / 4
    assert calibration_error(confidences, correct, bins=10) == pytest.approx(expected, abs=1e-15)


def test_calibration_is_that_of_a_loop_over_bins() -> None:
    confidences = torch.rand(500, dtype=torch.float64)
    confidences[:18] = torch.tensor([0, 1, *(i / 15 for i in range(16))], dtype=torch.float64)
    correct = torch.rand(500) < 0.6
    expected = 0.0
    for number in range(15):
        low, high = number / 15, (number + 1) / 15
        inside = [
            i for i, c in enumerate(confidences.tolist()) if low < c <= high or c == number == 0
        ]
        if inside:
            believed = math.fsum(confidences[i].item() for i in inside) / len(inside)
            right = sum(bool(correct[i]) for i in inside) / len(inside)
            expected += len(inside) / 500 * abs(believed - right)
    assert calibration_error(confidences, correct) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("right", "error"), [(True, 0.0), (False, 1.0)])
def test_one_image_that_the_network_is_sure_of(right: bool, error: float) -> None:
    assert calibration_error(torch.ones(1), torch.tensor([right])) == error


def test_each_class_has_its_own_accuracy() -> None:
    labels = torch.tensor([3, 0, 3, 3, 0])
    correct = torch.tensor([True, False, True, False, False])
    assert class_accuracy(labels, correct, 5) == [0.0, None, None, 2 / 3, None]


def test_confusion_counts_pairs() -> None:
    labels, predictions = torch.randint(0, 4, (2, 300))
    found = confusion(labels, predictions)
    for label in range(4):
        for prediction in range(4):
            together = (labels == label) & (predictions == prediction)
            assert found[label, prediction] == together.sum()
    assert sum(found.values()) == 300


def test_what_is_not_a_number_is_never_right() -> None:
    logits = torch.tensor([[math.nan] * 3, [math.nan, 1.0, 0.0], [0.0, math.nan, 2.0]])
    assert (ranks(logits, torch.tensor([0, 0, 0])) > 0).all()
    assert ranks(logits, torch.tensor([1, 1, 2]))[1:].tolist() == [1, 1]
