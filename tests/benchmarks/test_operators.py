import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fcmae.benchmarks import operators as module
from fcmae.benchmarks.operator_cases import PLAIN, Sites, depthwise_conv, feed_forward, operators
from fcmae.benchmarks.operators import benchmark_operators, measure_operator
from fcmae.devices import Place
from fcmae.ops.depthwise_conv import tiled
from fcmae.tiles import Tiles

FP32, BF16 = (Place(torch.device("cpu"), precision) for precision in ("fp32", "bf16"))


@pytest.mark.parametrize("place", [FP32, BF16], ids=["fp32", "bf16"])
def test_all_implementations_agree_at_every_stage(place: Place) -> None:
    found = list(operators("convnextv2_atto", 96, 2, 0.6, place))
    assert [(one.name, one.stage) for one in found] == [
        (name, stage) for stage in (1, 2, 3, 4) for name in ("depthwise_conv", "feed_forward")
    ]
    for operator in found:
        assert operator.implementations[0].name == PLAIN
        compiled = {one.name for one in operator.implementations} & {"cpu", "triton"}
        assert compiled == ({"cpu"} if place is FP32 else set())
        operator.require_agreement(place)


def test_what_cannot_be_avoided_is_that_of_visible_sites() -> None:
    sites = Sites.draw(1, 6, images=2, grid=3, ratio=0.6, place=FP32)  # 3 of 9 cells, 4 x 4 sites
    visible = 2 * 3 * 16
    conv, mixing = depthwise_conv(1, sites, FP32), feed_forward(1, sites, FP32, v2=True)
    assert conv.operations == (2 * 49 * 6 * visible, 4 * 49 * 6 * visible)
    assert mixing.operations == (2 * 8 * 36 * visible, 4 * 8 * 36 * visible)
    assert conv.bytes == (2 * 4 * 6 * visible, 3 * 4 * 6 * visible)


def test_a_wrong_implementation_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[[Tensor, Tensor, Tensor, Tiles], Tensor] = tiled.depthwise_conv
    monkeypatch.setattr(
        tiled, "depthwise_conv", lambda x, weight, bias, tiles: right(x, weight, 2 * bias, tiles)
    )
    sites = Sites.draw(0, 4, images=1, grid=2, ratio=0.5, place=BF16)
    with pytest.raises(RuntimeError, match="depthwise_conv, stage 1: tiled differs"):
        measure_operator(depthwise_conv(0, sites, BF16), BF16, 1)


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


def test_the_longer_of_both_times_is_the_bound() -> None:
    sites = Sites.draw(3, 8, images=1, grid=2, ratio=0.5, place=FP32)
    operator = depthwise_conv(3, sites, FP32)
    rates: Any = (
        module_rate(operations=1e3, rounds=1), module_rate(operations=1e12, rounds=1)
    )  # fmt: skip
    found = module._pass(operator, 0, [2.0], [4.0], rates)
    assert found["bound"] == "matrix products"
    assert found["share"] == pytest.approx(operator.operations[0] / 1e3 / 2)
    assert found["speedup"] == 2
    assert module._pass(operator, 0, [2.0], [4.0], rates[::-1])["bound"] == "memory"


def module_rate(operations: float, rounds: int) -> object:
    from fcmae.benchmarks.rates import Rate

    return Rate("made up", operations, [1.0] * rounds)


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
