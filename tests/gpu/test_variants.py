"""Layouts are tried one after another; whatever becomes of one, the others are measured."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import interpreted
import pytest
import torch
from torch import Tensor

from fcmae.sizes import size_of
from gpu import kernels, variants
from gpu.kernels import Contest, Shape

DEVICE = torch.device(interpreted.DEVICE)
SMALL: dict[str, Any] = {"batch_size": 1, "image_size": 64, "repeats": 2, "calls": 2}
convolution = interpreted.load("fcmae.ops.depthwise_conv.triton")
passes = interpreted.load("fcmae.ops.feed_forward.triton")


@pytest.mark.parametrize("kernel", variants.KERNELS)
@pytest.mark.parametrize("model", ["convnextv2_atto", "convnextv2_tiny", "convnextv2_huge"])
def test_variants_are_few_different_and_possible(kernel: str, model: str) -> None:
    for stage, channels in enumerate(size_of(model).widths):
        side = 8 >> stage
        found = variants.variants_of(kernel, side, channels)
        assert 5 <= len(found) <= 20
        assert len(set(found)) == len(found)
        if kernel.startswith("convolution"):
            which = ["convolution, forward", "convolution, weight gradient"].index(kernel)
            assert found[0] == convolution.layouts_of(side, channels)[which]
            for layout in found:
                assert layout.columns % side == 0
                for number in (layout.columns, layout.block, layout.warps):
                    assert number.bit_count() == 1
                assert layout.warps <= 32
        else:
            defaults = {
                "LayerNorm, forward": passes.NORMALISE,
                "LayerNorm, backward": passes.NORMALISE_BACKWARD,
            }
            assert found[0] == defaults.get(kernel, passes.WIDE)
            assert passes.Layout() in found
            for layout in found:
                assert layout.rows.bit_count() == layout.columns.bit_count() == 1


@pytest.mark.parametrize("kernel", variants.KERNELS)
def test_the_numbers_of_a_layout_reach_the_kernels(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches: list[dict[str, Any]] = []

    class Recorder:
        def __getitem__(self, grid: Any) -> Callable[..., None]:
            return lambda *_, **options: launches.append(options)

    for name in ("_convolve_sites", "_correlate_sites"):
        monkeypatch.setattr(convolution, name, Recorder())
    for name in ("_normalise", "_normalise_backward", "_squares", "_activate"):
        monkeypatch.setattr(passes, name, Recorder())
    monkeypatch.setattr(passes, "_activation_backward", Recorder())
    for layout in variants.variants_of(kernel, 1, 320):
        launches.clear()
        variants.launch(kernel, 1, 320, layout)
        expected = {"num_warps": layout._asdict().get("warps")}
        if kernel.startswith("convolution"):
            expected |= {"COLUMNS": layout.columns, "BLOCK": layout.block, "STAGES": layout.stages}
            if "weight" in kernel:
                expected["SPAN"] = layout.span
        elif kernel.startswith("LayerNorm"):
            expected = {"ROWS": max(1, layout.held // 512), "num_warps": layout.narrow_warps}
        else:
            expected = {"ROWS": layout.rows, "BLOCK": layout.columns, "STAGES": layout.stages}
            expected["num_warps"] = layout.wide_warps
        assert len(launches) == (2 if kernel.startswith("GELU") else 1)
        for options in launches:
            assert expected.items() <= options.items()


@pytest.mark.gpu
def test_a_captured_graph_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = variants.variants_of
    monkeypatch.setattr(variants, "variants_of", lambda *given: chosen(*given)[:2])
    rows = list(variants.time_variants(DEVICE, "LayerNorm, forward", "convnextv2_atto", 4))
    assert [row for row in rows if "error" in row] == []
    assert all(1e-7 < row["seconds"] < 1e-3 for row in rows)


@pytest.fixture
def _wide_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after another."""
    chosen = variants.variants_of
    if DEVICE.type == "cpu":
        wide = convolution.Layout(columns=64, block=64, warps=4)
        layouts = convolution.Layouts(wide, wide)
        monkeypatch.setattr(convolution, "layouts_of", lambda *_: layouts)
        monkeypatch.setattr(passes, "WIDE", passes.Layout(columns=1024))
        monkeypatch.setattr(variants, "variants_of", lambda *given: chosen(*given)[:2])


@pytest.mark.slow
@pytest.mark.usefixtures("_wide_programs")
@pytest.mark.parametrize("kernel", variants.KERNELS)
def test_layouts_of_each_kernel_agree_and_are_timed(kernel: str) -> None:
    rows = list(variants.time_variants(DEVICE, kernel, "convnextv2_atto", 4, **SMALL))
    *tried, last = rows
    assert [row for row in rows if "error" in row] == []
    for row in tried:
        assert (row["kernel"], row["stage"], row["side"]) == (kernel, 4, 1)
        assert row["difference"] <= kernels.TOLERANCE
        assert row["gigabytes_per_second"] > 0
        assert row["ratio"] == tried[0]["seconds"] / row["seconds"]
    assert tried[0]["layout"] == tried[-1]["layout"]
    assert last["seconds"] == min(row["seconds"] for row in tried)
    assert last["default_seconds"] == [tried[0]["seconds"], tried[-1]["seconds"]]


def run(
    monkeypatch: pytest.MonkeyPatch, alone: Callable[[Any], Sequence[Tensor]]
) -> list[dict[str, Any]]:
    """Rows of a kernel that should give ones, with its layout's `rows` as its time."""

    def build(shape: Shape) -> Contest:
        ones = [torch.ones(3, device=DEVICE)]
        return Contest(lambda: ones, lambda: ones, traffic=8, alone=alone)

    layouts = [passes.Layout(rows=rows) for rows in (4, 8, 2, 1)]
    monkeypatch.setattr(variants, "CONTESTS", {"a kernel": build})
    monkeypatch.setattr(variants, "variants_of", lambda *_: layouts)
    monkeypatch.setattr(variants, "_seconds", lambda call, *_: float(call.args[0].rows))
    rows = list(variants.time_variants(DEVICE, "a kernel", "convnextv2_atto", 4, **SMALL))
    json.dumps(rows, allow_nan=False)
    assert [row["layout"]["rows"] for row in rows[:-1]] == [4, 8, 2, 1, 4]
    return rows


def test_the_fastest_wins_and_is_compared_with_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = run(monkeypatch, lambda layout: [torch.ones(3, device=DEVICE)])
    assert [row["ratio"] for row in rows[:-1]] == [1, 0.5, 2, 4, 1]
    assert [row["gigabytes_per_second"] for row in rows[:-1]] == [2e-9, 1e-9, 4e-9, 8e-9, 2e-9]
    assert rows[-1] == {
        "model": "convnextv2_atto",
        "stage": 4,
        "channels": 320,
        "side": 1,
        "kernel": "a kernel",
        "winner": rows[3]["layout"],
        "seconds": 1,
        "default_seconds": [4, 4],
        "ratio": 4,
    }


def test_a_layout_that_differs_is_a_row_and_never_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(layout: Any) -> list[Tensor]:
        return [torch.full((3,), 1.5 if layout.rows == 1 else 1.0, device=DEVICE)]

    rows = run(monkeypatch, alone)
    assert "seconds" not in rows[3]
    assert rows[3]["difference"] == 0.5
    assert "differ by 5.0e-01" in rows[3]["error"]
    assert rows[-1]["winner"]["rows"] == 2


@pytest.mark.parametrize("kind", ["CompilationError", "OutOfResources", "PTXASError"])
def test_a_layout_that_cannot_be_compiled_costs_its_own_row(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    errors = {
        "CompilationError": lambda: compiler.CompilationError("x = 1\n", None, "too many of them"),
        "OutOfResources": lambda: runtime.OutOfResources(300_000, 232_448, "shared memory"),
        "PTXASError": lambda: runtime.PTXASError("too many registers"),
    }
    compiler = pytest.importorskip("triton.compiler.errors")
    runtime = pytest.importorskip("triton.runtime.errors")
    raised = errors[kind]()
    assert not isinstance(raised, RuntimeError)

    def alone(layout: Any) -> list[Tensor]:
        if layout.rows == 2:
            raise raised
        return [torch.ones(3, device=DEVICE)]

    rows = run(monkeypatch, alone)
    assert rows[2]["error"].startswith(kind)
    assert "seconds" not in rows[2]
    assert [row["ratio"] for row in rows[:-1] if "error" not in row] == [1, 0.5, 4, 1]
    assert rows[-1]["winner"]["rows"] == 1


def test_where_the_default_fails_there_is_a_winner_and_no_ratio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alone(layout: Any) -> list[Tensor]:
        if layout.rows == 4:
            raise ValueError("not this one")
        return [torch.ones(3, device=DEVICE)]

    rows = run(monkeypatch, alone)
    assert all("ratio" not in row for row in rows[:-1])
    assert rows[-1]["winner"]["rows"] == 1
    assert rows[-1]["default_seconds"] == []
    assert rows[-1]["ratio"] is None


def test_where_all_fail_nothing_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(layout: Any) -> list[Tensor]:
        raise ValueError("none")

    assert run(monkeypatch, alone)[-1]["winner"] is None
