"""Kernels between the matrix products, whichever they are, against their formulas in float64."""

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from fcmae.ops.feed_forward.images import Images

ROUNDING = {
    torch.float64: 1e-14,
    torch.float32: 3e-6,
    torch.bfloat16: 1e-2,
    torch.float16: 2e-3,
}
TILES = {  # of each image; and the sites of a tile
    "ragged": ([3, 0, 17, 1], 4),
    "one image": ([1], 35),
    "none": ([0, 0], 4),
    "no image": ([], 4),
}


def images_of(tiles: tuple[list[int], int], device: str) -> Images:
    numbers, rows = tiles
    counts = torch.tensor([0, *numbers])
    image = torch.arange(len(numbers)).repeat_interleave(counts[1:])
    return Images((counts.cumsum(0) * rows).to(device), image.to(device), rows)


def wide(images: Images, width: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Rows h and gradient; factor and slope; shift; each row's image."""
    device = images.starts.device
    single = torch.float64 if dtype == torch.float64 else torch.float32
    rows, number = len(images.of_tile) * images.rows_per_tile, len(images.starts) - 1
    h, gradient = 2 * torch.randn(2, rows, width, device=device).to(dtype)
    factor, slope = torch.randn(2, number, width, device=device, dtype=single)
    shift = torch.randn(width, device=device, dtype=single)
    return h, gradient, factor, slope, shift, images.of_tile.repeat_interleave(images.rows_per_tile)


def summed(values: Tensor, image: Tensor, number: int) -> Tensor:
    """[R, D] float64 -> [number, D]."""
    return values.new_zeros(number, values.shape[1]).index_add(0, image, values)


def assert_close(actual: Tensor, expected: Tensor, within: float, scale: float = 1e-9) -> None:
    """`expected` in float64, of this scale at least; NaN never passes."""
    assert actual.shape == expected.shape
    if actual.numel():
        assert (actual.double() - expected).abs().max() <= within * (expected.abs().max() + scale)


def check_normalisation(
    kernels: ModuleType, device: str, rows: int, channels: int, dtype: torch.dtype
) -> None:
    single = torch.float64 if dtype == torch.float64 else torch.float32
    x = (torch.randn(rows, channels, device=device) * 3 + 5).to(dtype)
    gradient = torch.randn(rows, channels, device=device).to(dtype)
    actual, reciprocal = kernels.normalise(x, 1e-6)
    weight, bias = torch.randn(2, channels, device=device, dtype=single)
    exact = [value.double().clone().requires_grad_() for value in (x, weight, bias)]
    expected = F.layer_norm(exact[0], (channels,), eps=1e-6)
    assert actual.dtype == dtype
    assert reciprocal.dtype == single
    assert_close(actual, expected.detach(), ROUNDING[dtype])
    variance = (x.double() - x.double().mean(1, keepdim=True)).square().mean(1)
    assert_close(reciprocal, (variance + 1e-6).rsqrt(), ROUNDING[single])
    expected = F.layer_norm(exact[0], (channels,), *exact[1:], eps=1e-6)
    gradients = torch.autograd.grad(expected, exact, gradient.double())
    # A single channel's gradient is the difference of equal numbers.
    scale = (gradient * weight).abs().max().item() * reciprocal.max().item() if rows else 0
    results = kernels.normalise_backward(gradient, actual, reciprocal, weight)
    for result, expected, kind in zip(results, gradients, (dtype, single, single), strict=True):
        assert result.dtype == kind
        assert_close(result, expected, 3 * ROUNDING[dtype], scale)


def check_activations(
    kernels: ModuleType, images: Images, width: int, dtype: torch.dtype, *, grn: bool = True
) -> None:
    h, gradient, *given, image = wide(images, width, dtype)
    factor, slope, shift = given if grn else (None, None, None)
    number = len(images.starts) - 1
    single = torch.float64 if dtype == torch.float64 else torch.float32
    exact = h.double().requires_grad_()
    active = F.gelu(exact)
    (slant,) = torch.autograd.grad(active.sum(), exact)
    active, outer = active.detach(), gradient.double()
    scale, lean = (value.double()[image] for value in given[:2]) if grn else (1, 0)
    within, summing = ROUNDING[dtype], 1e-13 if dtype == torch.float64 else 1e-5

    result = kernels.activate(h, factor, shift, images)
    assert result.dtype == dtype
    assert_close(result, active * scale + (given[2].double() if grn else 0), within)

    again, sums, total = kernels.products(h, gradient, factor, shift, images)
    assert_close(again, result.double(), within)
    if grn:
        assert sums.dtype == total.dtype == single
        assert_close(sums, summed(outer * active, image, number), summing)
        assert_close(total, outer.sum(0), summing)
        energy = kernels.squares(h, images)
        assert energy.dtype == single
        assert_close(energy, summed(active**2, image, number), summing)
    else:
        assert sums is None
        assert total is None

    expected = (outer * scale + active * lean) * slant
    inner, columns = kernels.activation_backward(h, gradient.clone(), factor, slope, images)
    assert inner.dtype == dtype
    assert columns.dtype == single
    assert_close(inner, expected, within)
    assert_close(columns, expected.sum(0), summing)


def check_an_image_without_rows(kernels: ModuleType, device: str) -> None:
    images = images_of(([2, 0, 1], 4), device)
    h, gradient, factor, _, shift, _ = wide(images, 5, torch.float32)
    assert not kernels.squares(h, images)[1].any()
    assert not kernels.products(h, gradient, factor, shift, images)[1][1].any()
