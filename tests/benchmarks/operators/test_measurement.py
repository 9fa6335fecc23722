from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fcmae.benchmarks.operators.cases import Sites, depthwise_conv
from fcmae.benchmarks.operators.measurement import _pass, measure_operator
from fcmae.benchmarks.rates import Rate
from fcmae.ops.depthwise_conv import tiled
from fcmae.ops.tiles import Tiles
from fcmae.training.devices import Place

FP32, BF16 = (Place(torch.device("cpu"), precision) for precision in ("fp32", "bf16"))


def test_a_wrong_implementation_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[[Tensor, Tensor, Tensor, Tiles], Tensor] = tiled.depthwise_conv
    monkeypatch.setattr(
        tiled, "depthwise_conv", lambda x, weight, bias, tiles: right(x, weight, 2 * bias, tiles)
    )
    sites = Sites.draw(0, 4, images=1, grid=2, ratio=0.5, place=BF16)
    with pytest.raises(RuntimeError, match="depthwise_conv, stage 1: tiled differs"):
        measure_operator(depthwise_conv(0, sites, BF16), BF16, 1)


def test_the_longer_of_both_times_is_the_bound() -> None:
    sites = Sites.draw(3, 8, images=1, grid=2, ratio=0.5, place=FP32)
    operator = depthwise_conv(3, sites, FP32)
    rates = Rate("slow", 1e3, [1.0]), Rate("fast", 1e12, [1.0])
    found = _pass(operator, 0, [2.0], [4.0], rates)
    assert found["bound"] == "matrix products"
    assert found["share"] == pytest.approx(operator.operations[0] / 1e3 / 2)
    assert found["speedup"] == 2
    assert _pass(operator, 0, [2.0], [4.0], rates[::-1])["bound"] == "memory"
