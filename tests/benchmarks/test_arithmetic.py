from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fcmae import create_autoencoder, create_model
from fcmae.benchmarks import arithmetic
from fcmae.benchmarks.arithmetic import Arithmetic
from fcmae.models.decoder import Decoder
from fcmae.models.encoder import Encoder
from fcmae.models.masks import random_mask
from fcmae.sizes import SIZES

ATEN = torch.ops.aten
HALF = torch.bfloat16


def counted(call: Callable[[], object]) -> tuple[int, int]:
    """Multiply-adds of matrix products, and of convolutions forward, as torch counts them.

    Backward, torch takes a depthwise convolution's weight gradient for that of a full one. Models
    are in bfloat16, for which no compiled operator hides its arithmetic from torch.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    counts = counter.get_flop_counts()["Global"]
    products = [
        count
        for operator, count in counts.items()
        if operator not in (ATEN.convolution, ATEN.convolution_backward)
    ]
    return sum(products) // 2, counts.get(ATEN.convolution, 0) // 2


def linear(work: Arithmetic) -> int:
    return work.stem + work.linear


@pytest.mark.parametrize("model", list(SIZES))
def test_a_classifier_costs_what_the_sizes_say(model: str) -> None:
    for pixels, flops in zip((224, 384, 512), SIZES[model].flops, strict=True):
        assert arithmetic.classification(model, pixels).forward == flops


@pytest.mark.parametrize("model", ["convnext_atto", "convnextv2_femto"])
def test_a_dense_encoder(model: str) -> None:
    encoder, images = Encoder(model).to(HALF), torch.randn(2, 3, 64, 96, dtype=HALF)
    products, convolutions = counted(lambda: encoder(images, None, "dense"))
    work = arithmetic.encoder(model, 2 * 2 * 3)
    assert (products, convolutions) == (linear(work), work.depthwise)


def test_a_tiled_encoder() -> None:
    encoder = Encoder("convnextv2_atto").to(HALF)
    images, mask = torch.randn(3, 3, 128, 96, dtype=HALF), random_mask(3, (4, 3), 0.6)
    products, _ = counted(lambda: encoder(images, mask, "tiled"))
    assert products == linear(arithmetic.encoder("convnextv2_atto", 3 * 4))


def test_a_decoder() -> None:
    decoder = Decoder(320, 32 * 32 * 3).to(HALF)
    cells = torch.arange(3 * 5).reshape(1, 3, 5) % 4 > 0  # 4 visible, 11 masked
    visible = torch.randn(4, 320, dtype=HALF)
    products, convolutions = counted(lambda: decoder.predict(decoder(visible, cells)[cells]))
    work = arithmetic.decoder("convnextv2_atto", 15, 4)
    assert (products, convolutions) == (work.linear, work.depthwise)


@pytest.mark.parametrize(("mode", "dense"), [("tiled", False), ("masked", True)])
def test_a_whole_step_forward_and_backward(mode: str, dense: bool) -> None:
    autoencoder = create_autoencoder("convnextv2_atto").to(HALF)
    images, mask = torch.randn(2, 3, 96, 96, dtype=HALF), random_mask(2, (3, 3), 0.6)

    def step() -> None:
        autoencoder(images, mask, mode).loss.backward()

    products, _ = counted(step)
    work = arithmetic.pretraining("convnextv2_atto", 96, 0.6, dense=dense)
    without = Arithmetic(work.stem, work.linear, 0)
    assert products == 2 * without.step
    assert work.step == without.step + 3 * work.depthwise


def test_a_step_of_a_classifier() -> None:
    model = create_model("convnextv2_atto", num_classes=7).to(HALF)
    images = torch.randn(2, 3, 64, 64, dtype=HALF)
    products, _ = counted(lambda: model(images).sum().backward())
    work = arithmetic.classification("convnextv2_atto", 64, 7)
    assert products == 2 * Arithmetic(work.stem, work.linear, 0).step


def test_the_limit_lies_between_one_and_that_of_the_encoder_alone() -> None:
    limits = [arithmetic.limit("convnextv2_tiny", 224, ratio) for ratio in (0.3, 0.6, 0.9)]
    assert 1 < limits[0] < limits[1] < 49 / 19 < limits[2] < 49 / 4
