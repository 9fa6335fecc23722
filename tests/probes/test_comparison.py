"""What is counted as right, what as clear, what is said of it, and how it is shown."""

import math
from typing import Any

import pytest
import torch
from rich.console import Console

from fcmae.probes.comparison import WORDS, Score, difference, score, sentence, table_of
from fcmae.report.verdict import Difference


def test_right_at_once_and_among_five() -> None:
    answers = torch.tensor([[0.1, 0.5, 0.2, 0.05, 0.06, 0.09, 0.0]] * 4)
    found = score([answers, answers.flip(1)], torch.tensor([1, 2, 6, 3]))
    assert found.top_1.tolist() == [[True, False, False, False], [False] * 4]
    assert found.top_5 is not None
    assert found.top_5.tolist() == [[True, True, False, False], [True, True, True, False]]
    assert found.accuracies == [0.25, 0.0]
    assert found.mean == 0.125
    assert found.deviation == pytest.approx(math.sqrt(2 * 0.125**2))


def test_up_to_five_classes_have_no_top_five() -> None:
    assert score([torch.rand(1, 5)], torch.tensor([4])).top_5 is None


def test_a_class_without_votes_is_never_right() -> None:
    none = torch.full((1, 6), -math.inf)
    found = score([none], torch.tensor([0]))
    assert not found.top_1.any()
    assert found.top_5 is not None
    assert not found.top_5.any()


def right(*rows: list[bool]) -> Score:
    return Score(torch.tensor(rows), None)


def word(found: Difference) -> str:
    return WORDS[found.above]


def test_a_difference_is_clear_beyond_the_images_that_happen_to_be_there() -> None:
    all_, none = right([True] * 40), right([False] * 40)
    assert word(difference(all_, none)) == "better"
    assert word(difference(none, all_)) == "worse"
    assert word(difference(all_, all_)) == "no better"
    few = right([True] * 2), right([False] * 2)
    assert word(difference(*few)) == "no better"


def test_the_variance_of_paired_proportions() -> None:
    ours, control = [True] * 30 + [False] * 10, [True] * 20 + [False] * 20
    found = difference(right(ours), right(control))
    # Agresti and Min: b = 10 and c = 0 of 40 pairs, half a pair added to each of the four counts.
    mean = 10 / 42
    assert found.value == pytest.approx(mean)
    assert found.error == pytest.approx(math.sqrt((11 / 42 - mean**2) / 42))


def test_pairs_matter() -> None:
    """The same accuracies, once on nested images and once on others: the latter say less."""
    ours = right([True] * 24 + [False] * 76)
    nested, apart = right([True] * 14 + [False] * 86), right([False] * 86 + [True] * 14)
    assert difference(ours, nested).value == difference(ours, apart).value
    assert word(difference(ours, nested)) == "better"
    assert word(difference(ours, apart)) == "no better"


def test_seeds_that_disagree_widen_the_spread() -> None:
    ours, low, high = [True] * 60 + [False] * 40, [True] * 20 + [False] * 80, [True] * 100
    steady = right([True] * 40 + [False] * 60, [True] * 40 + [False] * 60)
    assert word(difference(right(ours), steady)) == "better"
    assert word(difference(right(ours), right(low, high[:60] + low[60:]))) == "no better"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            {"kNN 20": {"a": "better", "b": "better"}, "linear": {"a": "better", "b": "better"}},
            "Pre-training helped: better than both controls, beyond the spread, by kNN 20 and "
            "linear.",
        ),
        (
            {"kNN 20": {"a": "better", "b": "worse"}, "linear": {"a": "better", "b": "better"}},
            "Pre-training helped in part: better than both controls, beyond the spread, by linear, "
            "but worse than b by kNN 20.",
        ),
        (
            {"kNN 20": {"a": "better", "b": "worse"}, "linear": {"a": "no better", "b": "worse"}},
            "Pre-training did not show that it helped: by no measure are these weights better than "
            "both controls beyond the spread; they are worse than b by kNN 20 and linear; no "
            "better than a by linear.",
        ),
        (
            {"1": {"a": "better"}, "2": {"a": "better"}, "3": {"a": "better"}},
            "Pre-training helped: better than both controls, beyond the spread, by every measure.",
        ),
    ],
)
def test_one_sentence(words: dict[str, dict[str, str]], expected: str) -> None:
    assert sentence(words) == expected


def column(share: float, k: int | None, top_1: list[float], top_5: list[float]) -> dict[str, Any]:
    return {
        "label_share": share,
        "k": k,
        "top_1": {"these weights": top_1, "random weights": [0.25]},
        "top_5": {"these weights": top_5, "random weights": [0.625]},
    }


@pytest.mark.parametrize(
    ("classes", "cells"),
    [
        (
            "abcdefg",
            [
                ["50 % of labels"],
                ["these weights", "62.5 ± 17.7", "88.8 ± 1.8", "37.5", "75.0"],
                ["random weights", "25.0", "62.5", "25.0", "62.5"],
                ["100 % of labels"],
                ["these weights", "100.0", "100.0", "50.0 ± 0.0", "90.0 ± 14.1"],
                ["random weights", "25.0", "62.5", "25.0", "62.5"],
                ["chance", "20.0", "80.0", "20.0", "80.0"],
            ],
        ),
        (
            "abcde",
            [
                ["50 % of labels"],
                ["these weights", "62.5 ± 17.7", "37.5"],
                ["random weights", "25.0", "25.0"],
                ["100 % of labels"],
                ["these weights", "100.0", "50.0 ± 0.0"],
                ["random weights", "25.0", "25.0"],
                ["chance", "20.0", "20.0"],
            ],
        ),
    ],
)
def test_every_cell_is_a_mean_of_its_own_with_a_deviation_where_there_are_several(
    classes: str, cells: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    result = {
        "columns": [
            column(0.5, 3, [0.5, 0.75], [0.875, 0.9]),
            column(0.5, None, [0.375], [0.75]),
            column(1.0, 3, [1.0], [1.0]),
            column(1.0, None, [0.5, 0.5], [0.8, 1.0]),
        ],
        "classes": list(classes),
        "val_images": 40,
        "seeds": 2,
        "chance": {"top_1": 0.2, "top_5": 0.8},
    }
    Console(width=200).print(table_of(result))
    lines = [line.strip().split("  ") for line in capsys.readouterr().out.splitlines()]
    shown = [[cell.strip() for cell in line if cell] for line in lines]
    assert [line for line in shown if line in cells] == cells
