import pytest
import torch

from fcmae.benchmarks.workload import MODES, Case, Workload


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_modes_agree_before_they_are_timed(precision: str) -> None:
    Workload(
        Case("convnextv2_atto", 96, 2, 0.6, precision), torch.device("cpu")
    ).require_agreement()


@pytest.mark.parametrize("mode", MODES)
def test_a_step_moves_every_parameter(mode: str) -> None:
    workload = Workload(Case("convnextv2_atto", 64, 2, 0.5, "fp32"), torch.device("cpu"))
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
