import math

import pytest
import torch

from fcmae.benchmarks.pretraining.agreement import (
    difference,
    objection,
    require_agreement,
    verdict,
)

MASKED = torch.tensor(2.0), torch.tensor([3.0, 0.0, 4.0])


def test_differences_are_relative_by_norm() -> None:
    found = difference((torch.tensor(2.5), torch.tensor([3.0, 0.5, 4.0])), MASKED)
    assert found == {"loss": 0.25, "gradient": pytest.approx(0.1)}


def test_what_is_not_a_number_is_infinitely_far() -> None:
    found = difference((torch.tensor(2.0), torch.tensor([3.0, math.nan, 4.0])), MASKED)
    assert found == {"loss": 0.0, "gradient": math.inf}
    row = {"model": "a", "precision": "bf16", **verdict(found, "bf16")}
    assert objection(row) == "tiled and masked differ by inf, more than 0.05: not right"


def test_precision_decides_what_is_rounding() -> None:
    found = {"loss": 1e-5, "gradient": 0.012}
    assert verdict(found, "bf16") == {"difference": found, "agrees": True}
    assert verdict(found, "fp32") == {"difference": found, "agrees": False}


def test_rows_that_are_not_right_are_an_error() -> None:
    rows = [
        {"model": "a", "precision": "fp32"},  # of an earlier version, where nobody looked
        {"model": "b", "precision": "fp32", "error": "does not fit in memory"},
        {"model": "c", "precision": "fp32", "agrees": True, "difference": {"loss": 0.0}},
        {"model": "d", "precision": "fp32", "agrees": None, "difference": None},
    ]
    require_agreement(rows)
    wrong = {"model": "e", "precision": "fp32", "agrees": False, "difference": {"loss": 0.5}}
    with pytest.raises(RuntimeError, match=r"^e: tiled and masked differ by 0.5, more than 0.0001"):
        require_agreement([*rows, wrong])
