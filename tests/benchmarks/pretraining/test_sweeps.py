import pytest
import torch

from fcmae.benchmarks.pretraining.sweeps import FIELDS, Sweep, Wanted, choose_cases

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FP32 = ("fp32",)


@pytest.mark.parametrize("sweep", list(FIELDS))
@pytest.mark.parametrize("device", [CPU, CUDA])
def test_by_itself_a_sweep_varies_one_field(sweep: Sweep, device: torch.device) -> None:
    cases = choose_cases(Wanted(precisions=FP32), sweep, device)
    assert len(cases) > 4
    for name in ("model", "image_size", "batch_size", "mask_ratio", "precision"):
        values = {getattr(case, name) for case in cases}
        assert len(values) == (len(cases) if name == FIELDS[sweep][0] else 1), name


def test_what_was_asked_for_is_what_is_swept() -> None:
    wanted = Wanted(("convnext_tiny",), (2, 3), (64,), (0.25, 0.5), FP32)
    cases = choose_cases(wanted, "mask-ratio", CPU)
    assert [(case.mask_ratio, case.batch_size) for case in cases] == [
        (0.25, 2), (0.25, 3), (0.5, 2), (0.5, 3)
    ]  # fmt: skip


def test_without_a_sweep_there_are_the_usual_two() -> None:
    cases = choose_cases(Wanted(precisions=FP32), None, CPU)
    assert [(case.model, case.batch_size) for case in cases] == [
        ("convnextv2_atto", 16), ("convnextv2_tiny", 8)
    ]  # fmt: skip
