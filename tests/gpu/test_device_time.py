"""Device and host apart; on a processor PyTorch's operators stand for a device's kernels."""

from typing import Any

import pytest
import torch

from fcmae.benchmarks import measuring
from gpu import device_time

CPU = torch.device("cpu")
TINY: dict[str, Any] = {"model": "convnextv2_atto", "precision": "fp32", "image_size": 64}


def test_kernels_of_a_step_are_averaged_over_steps_the_longest_first() -> None:
    a = torch.randn(200, 200)

    def step() -> None:
        for _ in range(3):
            torch.mm(a, a)
        torch.relu(a)

    kernels = device_time.kernels_of(step, CPU, steps=4)
    calls = {kernel.name: kernel.calls for kernel in kernels}
    assert (calls["aten::mm"], calls["aten::relu"]) == (3, 1)
    seconds = [kernel.seconds for kernel in kernels]
    assert seconds == sorted(seconds, reverse=True)
    assert 0 < sum(seconds) < 1


def test_a_whole_step_has_its_times_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(measuring.SIDES, "cpu", (64, 96))  # what the rate is, is not tested here
    (row,) = device_time.measure_step(CPU, **TINY, batch_size=3, turns=2, steps=1)
    assert row["images_per_second"] == pytest.approx(3 / row["step_seconds"])
    assert len(row["turns"]) == 2
    assert min(row["device_seconds"], row["host_seconds"], row["launches"], row["memory"]) > 0
    assert 0 < row["of_matrix_products"] < 1


def test_a_profile_has_the_longest_and_what_all_come_to() -> None:
    *longest, everything = device_time.profile_step(CPU, **TINY, batch_size=2, top=4, steps=1)
    assert [row["rank"] for row in longest] == [1, 2, 3, 4]
    assert everything["rank"] is None
    assert sum(row["seconds"] for row in longest) < everything["seconds"]
    assert sum(row["share"] for row in longest) < 1 == everything["share"]


def test_the_hosts_profile_sees_forward_backward_and_update() -> None:
    *rows, everything = device_time.profile_host(CPU, **TINY, top=10_000, steps=2)
    names = " ".join(row["name"] for row in rows)
    for function in ("layers.py", "fused.py", "adam", "run_backward"):
        assert function in names
    assert any("backward" in row["name"] and "fused.py" in row["name"] for row in rows)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert everything["alone_seconds"] > 0
