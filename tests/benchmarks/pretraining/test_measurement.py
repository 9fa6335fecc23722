import dataclasses
import json
import signal
import subprocess
import sys
from typing import Any

import pytest
import torch

from fcmae.benchmarks import arithmetic
from fcmae.benchmarks.measuring import TOO_LARGE
from fcmae.benchmarks.pretraining import measurement
from fcmae.benchmarks.pretraining.measurement import (
    TOO_LITTLE,
    Settings,
    measure,
    measure_memory,
    step_arithmetic,
)
from fcmae.benchmarks.pretraining.workload import MODES, Case

CPU = torch.device("cpu")
CASE = Case("convnextv2_atto", 64, 2, 0.5, "fp32")


def test_what_a_step_needs() -> None:
    tiled, masked, dense, timm = (
        step_arithmetic(CASE, mode) for mode in ("tiled", "masked", "dense", "timm")
    )
    assert tiled == masked < dense
    assert dense / tiled == arithmetic.limit("convnextv2_atto", 64, 0.5)
    assert timm == 2 * arithmetic.classification("convnextv2_atto", 64).step


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["measure_memory", "Workload"])
def test_what_does_not_fit_is_a_row(
    error: Exception, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(measurement, "measure_memory", lambda *_, **__: None)
    monkeypatch.setattr(measurement, where, refuse)
    row = measure(CASE, CPU, Settings(1))
    assert row == {**dataclasses.asdict(CASE), "error": TOO_LARGE}


def test_what_cannot_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "_free", lambda _: 16 * 3.7e6)
    monkeypatch.setattr(measurement, "measure_memory", None)  # would fail if it were called
    assert measure(CASE, CPU, Settings(1))["error"] == TOO_LARGE


def test_other_errors_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(measurement, "measure_memory", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        measure(CASE, CPU, Settings(1))


def test_fewer_modes_without_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "measure_memory", lambda *_, **__: {"masked": 8, "tiled": 2})
    row = measure(CASE, CPU, Settings(2, ("masked", "tiled"), update=False))
    assert list(row["seconds"]) == ["masked", "tiled"]
    assert list(row["speedup"]) == ["tiled / masked"]
    assert row["memory_ratio"] == 0.25
    assert row["matrix_products"]["operations_per_second"] > 0
    assert len(row["matrix_products"]["seconds"]) == 2


LARGER = Case("convnextv2_atto", image_size=96, batch_size=3, mask_ratio=0.6, precision="fp32")


@pytest.fixture(scope="module")
def memory() -> dict[str, int]:
    measured = measure_memory(LARGER, CPU, MODES)
    if measured is None:
        pytest.skip("memory of a process can be measured on Linux with glibc only")
    return measured


def test_tiled_needs_less(memory: dict[str, int]) -> None:
    assert list(memory) == list(MODES)
    assert memory["tiled"] < memory["dense"] < memory["masked"]


def test_importing_the_library_of_comparison_is_not_counted(memory: dict[str, int]) -> None:
    # 3.7M parameters' gradients, and activations that are about those of our dense mode.
    assert 4 * 3.7e6 < memory["timm"] < 1.5 * memory["dense"]


def test_without_the_update_there_is_less_or_as_much(memory: dict[str, int]) -> None:
    without = measure_memory(LARGER, CPU, ("tiled",), update=False)
    assert without is not None
    assert without["tiled"] < 1.1 * memory["tiled"]


def test_no_way_to_measure_is_none() -> None:
    assert measure_memory(LARGER, torch.device("mps"), MODES) is None


@pytest.mark.parametrize("code", [-signal.SIGKILL, TOO_LITTLE])
def test_a_process_that_was_ended_for_its_memory_is_a_finding(
    code: int, memory: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, code, "")

    monkeypatch.setattr(measurement.subprocess, "run", ended)
    with pytest.raises(MemoryError):
        measure_memory(LARGER, CPU, MODES)


def test_the_process_says_when_an_allocation_is_refused(memory: dict[str, int]) -> None:
    # With an address space of 3 GB, images of 12 GB cannot be had.
    case = {"model": "convnextv2_atto", "image_size": 3200, "batch_size": 100,
            "mask_ratio": 0.6, "precision": "fp32"}  # fmt: skip
    order = {"threads": 1, "case": case, "modes": ["tiled"], "update": True}
    code = (
        "import resource, sys\n"
        "from fcmae.benchmarks.pretraining import measurement\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))\n"
        "sys.exit(measurement.answer())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == TOO_LITTLE, answer.stderr
