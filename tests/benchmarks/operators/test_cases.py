import pytest
import torch

from fcmae.benchmarks.operators.cases import PLAIN, Sites, depthwise_conv, feed_forward, operators
from fcmae.training.devices import Runtime

FP32, BF16 = (Runtime(torch.device("cpu"), precision) for precision in ("fp32", "bf16"))


@pytest.mark.parametrize("runtime", [FP32, BF16], ids=["fp32", "bf16"])
def test_all_implementations_agree_at_every_stage(runtime: Runtime) -> None:
    found = list(operators("convnextv2_atto", 96, 2, 0.6, runtime))
    assert [(one.name, one.stage) for one in found] == [
        (name, stage) for stage in (1, 2, 3, 4) for name in ("depthwise_conv", "feed_forward")
    ]
    for operator in found:
        assert operator.implementations[0].name == PLAIN
        compiled = {one.name for one in operator.implementations} & {"cpu", "triton"}
        assert compiled == ({"cpu"} if runtime is FP32 else set())
        operator.require_agreement(runtime)


def test_what_cannot_be_avoided_is_that_of_visible_sites() -> None:
    sites = Sites.draw(1, 6, images=2, grid=3, ratio=0.6, runtime=FP32)  # 3 of 9 cells, 4 x 4 sites
    visible = 2 * 3 * 16
    conv, mixing = depthwise_conv(1, sites, FP32), feed_forward(1, sites, FP32, v2=True)
    assert conv.operations == (2 * 49 * 6 * visible, 4 * 49 * 6 * visible)
    assert mixing.operations == (2 * 8 * 36 * visible, 4 * 8 * 36 * visible)
    assert conv.bytes == (2 * 4 * 6 * visible, 3 * 4 * 6 * visible)
