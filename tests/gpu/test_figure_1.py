"""Figure 1's protocol: a row for each mode, also where only one fits."""

from typing import Any

import pytest
import torch

from fcmae.benchmarks.measuring import TOO_LARGE
from fcmae.benchmarks.pretraining.workload import Workload
from gpu.figure_1 import figure_1

CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "model": "convnextv2_atto",
    "precision": "fp32",
    "batch_size": 2,
    "image_size": 64,
    "steps": 4,
}


def figure_1_rows(**options: Any) -> list[dict[str, Any]]:
    return list(figure_1(CPU, **{**TINY, **options}))


def test_modes_take_turns_and_agree() -> None:
    tiled, masked, both = figure_1_rows()
    assert [row["mode"] for row in (tiled, masked, both)] == [
        "tiled",
        "masked",
        "tiled and masked",
    ]
    assert both["agrees"] is True
    for row in (tiled, masked):
        assert len(row["turns"]) == 4
        assert row["images_per_second"] == pytest.approx(2 / row["step_seconds"])
        assert (row["batch_size"], row["image_size"]) == (2, 64)
    ratios = [slow / fast for slow, fast in zip(masked["turns"], tiled["turns"], strict=True)]
    assert masked["speedup_range"] == [min(ratios), max(ratios)]
    assert min(ratios) <= masked["speedup"] <= max(ratios)
    held = masked["held"]
    assert masked["memory_ratio"] == pytest.approx(
        (held + tiled["memory"]) / (held + masked["memory"])
    )


def test_tiled_has_its_row_where_masked_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Workload.step

    def limited(self: Workload, mask: torch.Tensor, mode: str, *, update: bool = True) -> None:
        if mode == "masked":
            raise torch.OutOfMemoryError("CUDA out of memory")
        step(self, mask, mode, update=update)

    monkeypatch.setattr(Workload, "step", limited)
    masked, tiled = figure_1_rows()
    assert (masked["mode"], masked["error"]) == ("masked", TOO_LARGE)
    assert (tiled["mode"], len(tiled["turns"])) == ("tiled", 4)
    assert "speedup" not in tiled


def test_another_fault_goes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(Workload, "step", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        figure_1_rows()
