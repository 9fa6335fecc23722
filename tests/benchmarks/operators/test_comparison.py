import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fcmae.benchmarks.measuring import Rate
from fcmae.benchmarks.operators.cases import PLAIN, Sites, depthwise_conv
from fcmae.benchmarks.operators.comparison import _pass, measure_operator
from fcmae.commands.benchmark import operators as benchmark_operators
from fcmae.ops.depthwise_conv import tiled
from fcmae.ops.tiles import Tiles
from fcmae.training.devices import Runtime

FP32, BF16 = (Runtime(torch.device("cpu"), precision) for precision in ("fp32", "bf16"))


def test_a_row_for_each_implementation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = benchmark_operators(
        batch_size=1, image_size=64, mask_ratio=0.5, precision="bf16", device="cpu", repeats=3,
        json=tmp_path / "a.json",
    )  # fmt: skip
    assert {row["implementation"] for row in rows if row["operator"] == "depthwise_conv"} == {
        "reference", "tiled"
    }  # fmt: skip
    for row in rows:
        for name in ("forward", "backward"):
            assert len(row["seconds"][name]) == 3
            assert row[name]["share"] > 0
            assert row[name]["bound"] in ("matrix products", "memory")
            if row["implementation"] == PLAIN:
                assert row[name]["speedup"] == 1
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["rows"] == rows
    assert written["batch_size"] == 1
    assert "depthwise_conv 4  tiled" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "convnextv2_ato"}, "convnextv2_atto"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"image_size": 100}, "image_size: 100 is not a multiple of 32"),
        ({"repeats": 0}, "repeats: 0"),
        ({"json": Path("no/such/folder/file.json")}, "json: the folder"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        benchmark_operators(**arguments)


def test_a_wrong_implementation_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[[Tensor, Tensor, Tensor, Tiles], Tensor] = tiled.depthwise_conv
    monkeypatch.setattr(
        tiled, "depthwise_conv", lambda x, weight, bias, tiles: right(x, weight, 2 * bias, tiles)
    )
    sites = Sites.draw(0, 4, images=1, grid=2, ratio=0.5, runtime=BF16)
    with pytest.raises(RuntimeError, match="depthwise_conv, stage 1: tiled differs"):
        measure_operator(depthwise_conv(0, sites, BF16), BF16, 1)


def test_the_longer_of_both_times_is_the_bound() -> None:
    sites = Sites.draw(3, 8, images=1, grid=2, ratio=0.5, runtime=FP32)
    operator = depthwise_conv(3, sites, FP32)
    rates = Rate("slow", 1e3, [1.0]), Rate("fast", 1e12, [1.0])
    found = _pass(operator, 0, [2.0], [4.0], rates)
    assert found["bound"] == "matrix products"
    assert found["share"] == pytest.approx(operator.operations[0] / 1e3 / 2)
    assert found["speedup"] == 2
    assert _pass(operator, 0, [2.0], [4.0], rates[::-1])["bound"] == "memory"
