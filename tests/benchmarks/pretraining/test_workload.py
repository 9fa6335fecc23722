import math

import pytest
import torch

from fcmae.benchmarks.pretraining.workload import (
    MODES,
    Case,
    Workload,
    difference,
    objection,
    require_agreement,
    verdict,
)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_modes_agree(precision: str) -> None:
    workload = Workload(Case("convnextv2_atto", 96, 2, 0.6, precision), torch.device("cpu"))
    agreement = workload.agreement()
    assert agreement["difference"].keys() == {"loss", "gradient"}
    assert agreement["agrees"] is True
    assert all(value.grad is None for value in workload.autoencoder.parameters())


SMALL = Case("convnextv2_atto", 64, 2, 0.5, "fp32")


def test_what_is_held_is_counted() -> None:
    workload = Workload(SMALL, torch.device("cpu"))
    workload.step(workload.fresh_mask(), "tiled")
    tensors = [*workload.autoencoder.parameters(), workload.images]
    for state in workload.optimizer.state.values():
        tensors += [value for value in state.values() if value.ndim > 0]
    held = [*workload.autoencoder.parameters(), workload.images]
    assert workload.held(update=False) == sum(tensor.nbytes for tensor in held)
    assert workload.held(update=True) == sum(tensor.nbytes for tensor in tensors)


def test_the_competitor_is_trained_in_turn() -> None:
    workload = Workload(SMALL, torch.device("cpu"))
    mask = workload.fresh_mask()
    workload.step(mask, "tiled")
    assert workload.competitor is None
    workload.step(mask, "timm", update=False)
    assert workload.competitor is not None
    model = workload.competitor.model
    before = {name: value.clone() for name, value in model.named_parameters()}
    assert all(value.grad is not None for value in model.parameters())
    workload.forget_gradients()
    assert all(value.grad is None for value in model.parameters())
    workload.step(mask, "timm")
    assert not any(torch.equal(value, before[name]) for name, value in model.named_parameters())


@pytest.mark.parametrize("mode", MODES)
def test_without_the_update_nothing_moves(mode: str) -> None:
    workload = Workload(SMALL, torch.device("cpu"))
    before = torch.cat([value.flatten() for value in workload.autoencoder.parameters()])
    workload.step(workload.fresh_mask(), mode, update=False)
    after = torch.cat([value.flatten() for value in workload.autoencoder.parameters()])
    assert torch.equal(before, after)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "timm"])
def test_a_step_moves_every_parameter(mode: str) -> None:
    workload = Workload(SMALL, torch.device("cpu"))
    before = {name: value.clone() for name, value in workload.autoencoder.named_parameters()}
    workload.step(workload.fresh_mask(), mode)
    still = [
        name
        for name, value in workload.autoencoder.named_parameters()
        if torch.equal(value, before[name])
    ]
    assert still == []


def test_each_mask_is_fresh_and_has_the_ratio() -> None:
    workload = Workload(Case("convnextv2_atto", 160, 2, 0.6, "fp32"), torch.device("cpu"))
    first, second = workload.fresh_mask(), workload.fresh_mask()
    assert not torch.equal(first, second)
    assert first.sum(dim=(1, 2)).tolist() == [15, 15]


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
