import pytest
import torch

from fcmae.benchmarks.pretraining.workload import MODES, Case, Workload


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


def test_a_twin_has_the_same_weights_and_trains_its_own() -> None:
    workload = Workload(SMALL, torch.device("cpu"))
    mask, twin = workload.fresh_mask(), workload.twin()
    for one, other in zip(
        workload.gradient(mask, "tiled"), twin.gradient(mask, "tiled"), strict=True
    ):
        assert torch.equal(one, other)
    before = [value.clone() for value in workload.autoencoder.parameters()]
    twin.step(mask, "tiled")
    assert all(map(torch.equal, before, workload.autoencoder.parameters()))
    assert not any(map(torch.equal, before, twin.autoencoder.parameters()))


def test_each_mask_is_fresh_and_has_the_ratio() -> None:
    workload = Workload(Case("convnextv2_atto", 160, 2, 0.6, "fp32"), torch.device("cpu"))
    first, second = workload.fresh_mask(), workload.fresh_mask()
    assert not torch.equal(first, second)
    assert first.sum(dim=(1, 2)).tolist() == [15, 15]
