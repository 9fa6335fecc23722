"""The kernels for CUDA against the definition; without a GPU, in Triton's interpreter."""

from typing import Any

import interpreted
import pytest
import torch
from torch import Tensor

from fcmae.models.masks import enlarge, random_mask
from fcmae.ops.depthwise_conv import reference
from fcmae.ops.tiles import Tiles

kernels = interpreted.load("fcmae.ops.depthwise_conv.triton")
DEVICE = interpreted.DEVICE

MASKS = {
    "ragged": [[[0, 1, 0], [1, 0, 0]], [[1, 1, 1], [1, 0, 1]]],
    "all visible": [[[0, 0], [0, 0]]],
    "an image without any": [[[1], [1]], [[0], [1]]],
    "none at all": [[[1, 1]]],
}
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 3e-3}


@pytest.fixture(autouse=True)
def _few_programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after another: let each be wide."""
    if DEVICE == "cpu" and not request.node.name.endswith("as_on_a_gpu"):
        wide = kernels.Layout(columns=64, block=64)
        monkeypatch.setattr(kernels, "layouts_of", lambda *_: kernels.Layouts(wide, wide))


def parameters(channels: int, kernel: int) -> list[Tensor]:
    shapes = ((channels, 1, kernel, kernel), (channels,))
    return [torch.randn(shape, device=DEVICE, requires_grad=True) for shape in shapes]


def assert_agree(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mask: Tensor | None,
    within: float,
    layouts: Any = None,
) -> None:
    """Output and all gradients, for a dense map x [B, H, W, C] and a mask of its cells."""
    tiles = masked = None
    packed = x.detach()
    if mask is not None:
        tiles = Tiles.visible(mask.to(DEVICE))
        masked = enlarge(mask.to(DEVICE), x.shape[1] // mask.shape[1]).unsqueeze(-1)
        packed = tiles.pack(packed)
    packed.requires_grad_()
    actual = kernels.depthwise_conv(packed, weight, bias, tiles, layouts)
    assert actual.dtype == x.dtype
    exact = [value.detach().double().requires_grad_() for value in (x, weight, bias)]
    expected = reference.depthwise_conv(*exact, masked)
    outer = torch.linspace(-1, 1, expected.numel(), device=DEVICE).view_as(expected).cos()
    outer = outer.to(x.dtype)
    gradients = list(torch.autograd.grad(expected, exact, outer.double()))
    if tiles is not None:
        expected, outer = tiles.pack(expected), tiles.pack(outer)
        gradients[0] = tiles.pack(gradients[0])
    results = torch.autograd.grad(actual, (packed, weight, bias), outer)
    for one, other in zip((actual, *results), (expected, *gradients), strict=True):
        assert one.shape == other.shape
        if other.numel():
            difference = (one.double() - other).abs().max()
            assert difference <= within * other.abs().max()


@pytest.mark.parametrize("mask", [torch.tensor(mask) > 0 for mask in MASKS.values()], ids=MASKS)
@pytest.mark.parametrize(
    ("side", "kernel", "channels"), [(8, 3, 1), (4, 3, 13), (2, 5, 40), (1, 7, 13)]
)
def test_tiles_agree_with_the_definition(
    mask: Tensor, side: int, kernel: int, channels: int
) -> None:
    x = torch.randn(mask.shape[0], mask.shape[1] * side, mask.shape[2] * side, channels)
    assert_agree(x.to(DEVICE), *parameters(channels, kernel), mask, ROUNDING[torch.float32])


@pytest.mark.parametrize(
    ("height", "width", "channels", "kernel"), [(9, 11, 13, 3), (2, 3, 17, 5), (7, 8, 1, 3)]
)
def test_dense_maps_agree_with_the_definition(
    height: int, width: int, channels: int, kernel: int
) -> None:
    x = torch.randn(2, height, width, channels, device=DEVICE)
    assert_agree(x, *parameters(channels, kernel), None, ROUNDING[torch.float32])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("side", [4, 1])
def test_half_precision_is_rounded_once(dtype: torch.dtype, side: int) -> None:
    mask = torch.tensor(MASKS["ragged"]) > 0
    x = torch.randn(2, 2 * side, 3 * side, 13, device=DEVICE).to(dtype)
    assert_agree(x, *parameters(13, 3), mask, ROUNDING[dtype])


def test_tiles_agree_in_programs_as_on_a_gpu() -> None:
    x = torch.randn(2, 4, 6, 17, device=DEVICE)
    assert_agree(x, *parameters(17, 3), torch.tensor(MASKS["ragged"]) > 0, 2e-6)


def test_dense_maps_agree_in_programs_as_on_a_gpu() -> None:
    x = torch.randn(1, 3, 11, 3, device=DEVICE)
    assert_agree(x, *parameters(3, 3), None, 2e-6)


@pytest.mark.parametrize(
    ("side", "kernel", "channels", "layout"),
    [
        (8, 3, 1, {"columns": 16, "span": 3}),
        (8, 3, 3, {"columns": 32, "span": 1, "stages": 2}),
        (4, 3, 17, {"columns": 16, "span": 1, "summing_warps": 1}),
        (4, 3, 13, {"columns": 4, "block": 32, "stages": 3}),
        (2, 5, 13, {"columns": 32, "span": 3, "warps": 1}),
        (2, 3, 40, {"columns": 16, "span": 7, "block": 128}),
        (1, 7, 13, {"columns": 32, "span": 7}),
        (1, 3, 17, {"columns": 16, "span": 2, "block": 16, "warps": 2, "summing_warps": 5}),
        (1, 3, 5, {"columns": 1, "span": 3}),
    ],
)
def test_tiles_agree_in_other_layouts(
    side: int, kernel: int, channels: int, layout: dict[str, int]
) -> None:
    layouts = kernels.Layouts(kernels.Layout(**layout), kernels.Layout(**layout))
    mask = torch.tensor(MASKS["ragged"]) > 0
    x = torch.randn(2, 2 * side, 3 * side, channels, device=DEVICE)
    assert_agree(x, *parameters(channels, kernel), mask, 2e-6, layouts)


def test_dense_maps_agree_in_other_layouts() -> None:
    layouts = kernels.Layouts(
        kernels.Layout(columns=16, rows=2), kernels.Layout(columns=32, rows=5, span=1)
    )
    x = torch.randn(2, 7, 17, 3, device=DEVICE)
    assert_agree(x, *parameters(3, 3), None, 2e-6, layouts)


@pytest.mark.parametrize(
    ("channels", "block", "warps"), [(40, 16, 1), (96, 32, 2), (160, 32, 2), (512, 64, 4)]
)
def test_what_a_layout_leaves_open_suits_the_channels(
    channels: int, block: int, warps: int
) -> None:
    filled = kernels.Layout().filled(channels)
    assert (filled.block, filled.warps) == (block, warps)
    assert kernels.Layout(columns=16).filled(channels).warps == 2 * warps
    given = kernels.Layout(block=128, warps=8)
    assert given.filled(channels) == given


def test_a_batch_of_no_images_has_no_gradient() -> None:
    weight, bias = parameters(3, 3)
    x = torch.empty(0, 4, 4, 3, device=DEVICE, requires_grad=True)
    out = kernels.depthwise_conv(x, weight, bias, None)
    assert out.shape == x.shape
    for gradient in torch.autograd.grad(out.sum(), (weight, bias)):
        assert not gradient.any()


def test_memory_in_another_order_is_read_rightly() -> None:
    tiles = Tiles.visible((torch.tensor(MASKS["ragged"]) > 0).to(DEVICE))
    weight, bias = parameters(5, 3)
    packed = torch.randn(len(tiles.index), 2, 2, 5, device=DEVICE)
    scattered = packed.transpose(0, 3).contiguous().transpose(0, 3).requires_grad_()
    turned = weight.transpose(2, 3).contiguous().transpose(2, 3)
    packed.requires_grad_()
    one = kernels.depthwise_conv(scattered, turned, bias, tiles)
    other = kernels.depthwise_conv(packed, weight, bias, tiles)
    assert torch.equal(one, other)
    outer = torch.randn(5, 2, 2, len(packed), device=DEVICE).transpose(0, 3)
    (one_gradient,) = torch.autograd.grad(one, scattered, outer)
    (other_gradient,) = torch.autograd.grad(other, packed, outer.contiguous())
    assert torch.equal(one_gradient, other_gradient)


def test_a_nan_stays_within_its_image_and_the_reach_of_the_kernel() -> None:
    tiles = Tiles.visible(torch.zeros(2, 1, 3, dtype=torch.bool, device=DEVICE))
    packed = torch.randn(6, 2, 2, 2, device=DEVICE)
    packed[0, 0, 0, 0] = float("nan")  # first tile of the first image, first site, first channel
    with torch.no_grad():
        out = kernels.depthwise_conv(packed, *parameters(2, 7), tiles).isnan()
    expected = torch.zeros_like(out)
    expected[:2, :, :, 0] = True  # sites 0 to 3 of the row of 6
    assert torch.equal(out, expected)


def test_two_widths_of_kernel_on_the_same_tiles_agree_with_the_definition() -> None:
    mask = torch.zeros(1, 2, 2, dtype=torch.bool, device=DEVICE)
    tiles = Tiles.visible(mask)
    x = torch.randn(1, 2, 2, 3, device=DEVICE)
    with torch.no_grad():
        for kernel in (3, 5, 3):
            weight, bias = parameters(3, kernel)
            actual = kernels.depthwise_conv(tiles.pack(x), weight, bias, tiles)
            expected = tiles.pack(reference.depthwise_conv(x, weight, bias, None))
            torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_automatic_mixed_precision_computes_in_half() -> None:
    weight, bias = parameters(5, 3)
    x = torch.randn(1, 3, 3, 5, device=DEVICE, requires_grad=True)
    with torch.autocast(DEVICE, torch.bfloat16):
        out = kernels.depthwise_conv(x, weight, bias, None)
    expected = kernels.depthwise_conv(x.bfloat16(), weight, bias, None)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, expected)
    gradients = torch.autograd.grad(out.float().sum(), (x, weight, bias))
    assert [gradient.dtype for gradient in gradients] == [torch.float32] * 3


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize(
    ("side", "channels"), [(8, 40), (8, 128), (4, 80), (4, 352), (2, 192), (1, 1024), (1, 77)]
)
def test_tiles_of_real_sizes_agree_with_the_definition(
    dtype: torch.dtype, side: int, channels: int
) -> None:
    mask = random_mask(5, (7, 9), 0.6, torch.Generator().manual_seed(side))
    x = torch.randn(5, 7 * side, 9 * side, channels, device=DEVICE).to(dtype)
    assert_agree(x, *parameters(channels, 7), mask, 5 * ROUNDING[dtype])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize(("height", "width", "channels"), [(56, 56, 96), (14, 17, 40), (7, 5, 640)])
def test_dense_maps_of_real_sizes_agree_with_the_definition(
    dtype: torch.dtype, height: int, width: int, channels: int
) -> None:
    x = torch.randn(3, height, width, channels, device=DEVICE).to(dtype)
    assert_agree(x, *parameters(channels, 7), None, 5 * ROUNDING[dtype])


@pytest.mark.gpu
def test_the_same_gradient_has_the_same_bits() -> None:
    tiles = Tiles.visible(random_mask(16, (7, 7), 0.6).to(DEVICE))
    weight, bias = parameters(96, 7)
    x = torch.randn(len(tiles.index), 8, 8, 96, device=DEVICE, requires_grad=True)
    runs = []
    for _ in range(3):
        out = kernels.depthwise_conv(x, weight, bias, tiles)
        runs.append(torch.autograd.grad(out.square().sum(), (x, weight, bias)))
    for run in runs[1:]:
        assert all(map(torch.equal, run, runs[0]))
