import dataclasses
from typing import Any

import pytest
import torch

from fcmae.benchmarks import arithmetic
from fcmae.benchmarks.memory import TOO_LARGE
from fcmae.benchmarks.pretraining import measurement
from fcmae.benchmarks.pretraining.measurement import Settings, measure, step_arithmetic
from fcmae.benchmarks.pretraining.step_memory import OutOfMemory
from fcmae.benchmarks.pretraining.workload import Case

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
    [OutOfMemory(), MemoryError(), torch.OutOfMemoryError("CUDA out of memory")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["measure_memory", "_Rounds"])
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
