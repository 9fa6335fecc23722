from typing import Any

import pytest
from rich.console import Console

from fcmae.probes.table import table_of


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
