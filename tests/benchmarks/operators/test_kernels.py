"""Kernels are timed only where they agree; tiny shapes in Triton's interpreter, or on the GPU."""

from collections.abc import Sequence
from types import SimpleNamespace

import interpreted
import pytest
import torch
from torch import Tensor

from fcmae.benchmarks.operators import kernels

DEVICE = torch.device(interpreted.DEVICE)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = interpreted.load("fcmae.ops.depthwise_conv.triton")
    interpreted.load("fcmae.ops.feed_forward.triton")
    if DEVICE.type == "cpu":  # few, wide programs: they run one after another
        monkeypatch.setattr(conv, "COLUMNS", 64)
        monkeypatch.setattr(conv, "_block", lambda channels: 64)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_a_stage_has_six_rows_with_the_ratio_of_its_times(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=iter([0.0, 0.0, 2.0]).__next__)  # late after a stage
    monkeypatch.setattr(kernels, "time", clock)
    rows = kernels.time_kernels(
        DEVICE, ("convnextv2_atto",), batch_size=1, image_size=64, repeats=1, calls=1, seconds=1
    )
    assert [(row["stage"], row["channels"]) for row in rows] == [(1, 40)] * 6
    assert len({row["kernel"] for row in rows}) == 6
    for row in rows:
        assert row["ratio"] == row["eager_seconds"] / row["seconds"]
        assert row["gigabytes_per_second"] > 0


@pytest.mark.gpu
def test_all_stages_agree_and_are_timed() -> None:
    rows = kernels.time_kernels(DEVICE, ("convnextv2_atto",), batch_size=4, repeats=2, calls=1)
    assert [row["stage"] for row in rows] == [1] * 6 + [2] * 6 + [3] * 6 + [4] * 6


def test_what_does_not_agree_is_not_timed() -> None:
    def call(value: float) -> Sequence[Tensor]:
        return [torch.full((3,), value)]

    for wrong in (1.1, float("nan")):
        contest = kernels.Contest("a kernel", lambda wrong=wrong: call(wrong), lambda: call(1.0), 1)
        with pytest.raises(RuntimeError, match="a kernel of Atto, stage 2"):
            kernels._require_agreement(contest, {"model": "Atto", "stage": 2})
