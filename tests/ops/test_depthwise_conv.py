"""The definition against loops over sites, and every implementation on tiles against it."""

from collections.abc import Callable

import naive
import pytest
import torch
from torch import Tensor, nn

from fcmae import ops
from fcmae.models.masks import enlarge
from fcmae.ops.depthwise_conv import cpu, reference, tiled
from fcmae.ops.tiles import Tiles

Conv = Callable[[Tensor, Tensor, Tensor, Tiles], Tensor]

PACKED = {"tiled": tiled.depthwise_conv, "cpu": cpu.depthwise_conv}
MASKS = {
    "ragged": [[[0, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 0]], [[1, 1, 1, 1], [1, 0, 1, 1], [1] * 4]],
    "one visible": [[[1, 1, 0]]],
    "all visible": [[[0, 0, 0], [0, 0, 0]]],
    "an image without any": [[[1], [1]], [[0], [1]]],
}
implementations = pytest.mark.parametrize("conv", PACKED.values(), ids=PACKED)
masks = pytest.mark.parametrize("mask", [torch.tensor(mask) for mask in MASKS.values()], ids=MASKS)


def problem(
    mask: Tensor, side: int, channels: int, kernel: int, dtype: torch.dtype
) -> tuple[list[Tensor], Tensor, Tiles]:
    """A dense map, weight and bias that want gradients; the mask at each site; the tiles."""
    generator = torch.Generator().manual_seed(side)
    batch, rows, columns = mask.shape
    shapes = (
        (batch, rows * side, columns * side, channels),
        (channels, 1, kernel, kernel),
        (channels,),
    )
    inputs = [
        torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes
    ]
    return inputs, enlarge(mask > 0, side).unsqueeze(-1), Tiles.visible(mask > 0)


def with_gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """A result and its gradients, for an outer gradient that differs at every value."""
    outer = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out).cos()
    return [out.detach(), *torch.autograd.grad(out, inputs, outer)]


def assert_agree(
    conv: Conv, inputs: list[Tensor], masked: Tensor, tiles: Tiles, within: float
) -> None:
    x, weight, bias = inputs
    actual = with_gradients(conv(tiles.pack(x), weight, bias, tiles), inputs)
    expected = with_gradients(tiles.pack(reference.depthwise_conv(x, weight, bias, masked)), inputs)
    for one, other in zip(actual, expected, strict=True):
        scale = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=0, atol=within * scale)


@masks
@pytest.mark.parametrize(("side", "kernel"), [(2, 7), (1, 3)])
def test_the_definition_sums_over_the_taps_that_lie_on_a_visible_site(
    mask: Tensor, side: int, kernel: int
) -> None:
    inputs, masked, _ = problem(mask, side, 3, kernel, torch.float64)
    conv = nn.Conv2d(3, 3, kernel, groups=3).double()
    conv.weight, conv.bias = (nn.Parameter(value.detach()) for value in inputs[1:])
    places = (~masked[..., 0]).nonzero().tolist()
    expected = naive.depthwise({(b, i, j): inputs[0][b, i, j] for b, i, j in places}, conv)
    actual = reference.depthwise_conv(*inputs, masked)
    assert not actual[masked[..., 0]].any()
    for place, value in expected.items():
        torch.testing.assert_close(actual[place], value, rtol=0, atol=1e-12)


@implementations
@masks
@pytest.mark.parametrize("side", [8, 4, 2, 1])
@pytest.mark.parametrize(("kernel", "channels"), [(7, 13), (3, 1)])
def test_tiles_agree_with_the_definition(
    conv: Conv, mask: Tensor, side: int, kernel: int, channels: int
) -> None:
    inputs, masked, tiles = problem(mask, side, channels, kernel, torch.float64)
    assert_agree(conv, inputs, masked, tiles, within=1e-13)


@pytest.mark.parametrize(("height", "width"), [(5, 19), (8, 16), (1, 1)])
@pytest.mark.parametrize("channels", [13, 33])
def test_dense_maps_agree_with_the_definition(height: int, width: int, channels: int) -> None:
    inputs, *_ = problem(torch.zeros(2, height, width), 1, channels, 7, torch.float64)
    actual = with_gradients(cpu.depthwise_conv(*inputs, None), inputs)
    expected = with_gradients(reference.depthwise_conv(*inputs, None), inputs)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13 * float(other.abs().max()))


@implementations
@pytest.mark.parametrize("side", [8, 1])
def test_tiles_agree_in_single_precision(conv: Conv, side: int) -> None:
    inputs, masked, tiles = problem(torch.tensor(MASKS["ragged"]), side, 5, 7, torch.float32)
    assert_agree(conv, inputs, masked, tiles, within=2e-6)


@implementations
def test_gradients_are_those_of_finite_differences(conv: Conv) -> None:
    inputs, _, tiles = problem(torch.tensor([[[0, 1], [0, 0]]]), 2, 2, 3, torch.float64)
    packed = tiles.pack(inputs[0]).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda *each: conv(*each, tiles), (packed, *inputs[1:]))


@implementations
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_each_gradient_can_be_asked_for_alone(conv: Conv, wanted: int) -> None:
    inputs, _, tiles = problem(torch.tensor(MASKS["ragged"]), 2, 3, 7, torch.float64)
    packed = [tiles.pack(inputs[0]).detach().requires_grad_(), *inputs[1:]]
    together = with_gradients(conv(*packed, tiles), packed)[1 + wanted]
    alone = [value.detach().requires_grad_(i == wanted) for i, value in enumerate(packed)]
    assert torch.equal(with_gradients(conv(*alone, tiles), [alone[wanted]])[1], together)


@implementations
def test_tiles_that_do_not_lie_in_order_in_memory_are_read_rightly(conv: Conv) -> None:
    inputs, _, tiles = problem(torch.tensor(MASKS["ragged"]), 4, 3, 7, torch.float64)
    packed = tiles.pack(inputs[0]).detach()
    scattered = packed.transpose(0, 3).contiguous().transpose(0, 3)
    weight = inputs[1].transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(conv(scattered, weight, inputs[2], tiles), conv(packed, *inputs[1:], tiles))


@implementations
def test_a_nan_stays_within_its_image_and_the_reach_of_the_kernel(conv: Conv) -> None:
    inputs, _, tiles = problem(torch.zeros(2, 1, 3), 4, 2, 7, torch.float32)
    packed = tiles.pack(inputs[0]).detach()
    packed[0, 0, 0, 0] = float("nan")  # first tile of the first image, first site, first channel
    out = conv(packed, *inputs[1:], tiles).isnan()
    expected = torch.zeros_like(out)
    expected[0, :, :, 0] = True  # sites 0 to 3 of the row of 12
    assert torch.equal(out, expected)


def test_the_number_of_threads_changes_no_bit() -> None:
    inputs, _, tiles = problem(torch.tensor(MASKS["ragged"]), 8, 13, 7, torch.float32)
    usual = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            packed = [tiles.pack(inputs[0]).detach().requires_grad_(), *inputs[1:]]
            results.append(with_gradients(cpu.depthwise_conv(*packed, tiles), packed))
    finally:
        torch.set_num_threads(usual)
    assert all(map(torch.equal, *results))


def test_automatic_mixed_precision_computes_in_half_on_tiles_too() -> None:
    inputs, masked, tiles = problem(torch.tensor(MASKS["ragged"]), 4, 5, 7, torch.float32)
    x, *parameters = inputs
    with torch.autocast("cpu", torch.bfloat16):
        actual = ops.depthwise_conv(tiles.pack(x), *parameters, tiles)
        expected = tiles.pack(ops.depthwise_conv(x, *parameters, masked))
    assert actual.dtype == expected.dtype == torch.bfloat16
    for one, other in zip(
        with_gradients(actual, inputs), with_gradients(expected, inputs), strict=True
    ):
        assert one.dtype == other.dtype
        difference = (one.double() - other.double()).norm() / other.double().norm()
        assert difference < 1e-2  # a bfloat16 has 8 bits
