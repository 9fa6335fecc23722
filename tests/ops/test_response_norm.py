"""GRN's statistic against its formula, on maps and on tiles."""

import pytest
import torch
from torch import Tensor

from fcmae.models.masks import enlarge
from fcmae.ops import response_norm
from fcmae.ops.tiles import Sites, Tiles

MASK = torch.tensor([[[0, 1, 1], [1, 0, 0]], [[1, 1, 0], [1, 1, 1]]]) > 0  # 3 and 1 visible


def formula(x: Tensor, masked: Tensor) -> Tensor:
    """Norm of each channel over one image's visible sites, divided by the mean over channels."""
    rows = []
    for image, hidden in zip(x, masked[..., 0], strict=True):
        norm = image[~hidden].double().norm(dim=0)  # [C]
        rows.append(norm / (norm.mean() + 1e-6))
    return torch.stack(rows)


def problem(side: int, channels: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tiles]:
    generator = torch.Generator().manual_seed(side)
    x = torch.randn(2, 2 * side, 3 * side, channels, generator=generator).to(dtype)
    return x, enlarge(MASK, side).unsqueeze(-1), Tiles.visible(MASK)


@pytest.mark.parametrize("side", [8, 4, 2, 1])
@pytest.mark.parametrize("channels", [1, 13])
def test_maps_and_tiles_agree_with_the_formula(side: int, channels: int) -> None:
    x, masked, tiles = problem(side, channels, torch.float64)
    x.requires_grad_()
    expected = formula(x, masked)
    outer = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(expected, x, outer)
    for given, sites in ((x, masked), (tiles.pack(x), tiles)):
        actual = response_norm(given, sites)
        torch.testing.assert_close(actual, expected, rtol=1e-13, atol=0)
        (same,) = torch.autograd.grad(actual, x, outer)
        torch.testing.assert_close(same, gradient, rtol=0, atol=1e-13)


def test_without_a_mask_every_site_counts() -> None:
    x, masked, _ = problem(4, 5, torch.float64)
    expected = formula(x, torch.zeros_like(masked))
    torch.testing.assert_close(response_norm(x, None), expected, rtol=1e-13, atol=0)


def test_gradients_are_those_of_finite_differences() -> None:
    x, masked, tiles = problem(1, 4, torch.float64)
    assert torch.autograd.gradcheck(lambda x: response_norm(x, masked), x.requires_grad_())
    packed = tiles.pack(x).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: response_norm(x, tiles), packed)


@pytest.mark.parametrize("packed", [False, True])
def test_a_silent_channel_has_norm_zero_and_gradient_zero(packed: bool) -> None:
    x, masked, tiles = problem(2, 3, torch.float32)
    x[..., 1] = 0
    x.requires_grad_()
    out = response_norm(tiles.pack(x), tiles) if packed else response_norm(x, masked)
    (gradient,) = torch.autograd.grad(out.square().sum(), x)
    assert not out[:, 1].any()
    assert not gradient[..., 1].any()
    assert gradient.isfinite().all()
    assert gradient[..., 0].any()


def test_an_image_with_nothing_visible_has_norm_zero() -> None:
    none = torch.ones(1, 2, 3, dtype=torch.bool)
    x = torch.randn(1, 4, 6, 5)
    tiles = Tiles.visible(none)
    for given, sites in ((x, enlarge(none, 2).unsqueeze(-1)), (tiles.pack(x), tiles)):
        assert torch.equal(response_norm(given, sites), torch.zeros(1, 5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("packed", [False, True])
def test_large_values_in_half_precision_give_what_single_precision_gives(
    dtype: torch.dtype, packed: bool
) -> None:
    x, masked, tiles = problem(8, 6, dtype)
    x = (x * 1e4).clamp(-3e4, 3e4).requires_grad_()  # one square overflows float16: 65504

    def run(x: Tensor) -> Tensor:
        sites: Sites = tiles if packed else masked
        return response_norm(tiles.pack(x) if packed else x, sites)

    out, expected = run(x), run(x.float())
    assert out.dtype == torch.float32
    assert torch.equal(out, expected)
    (gradient,) = torch.autograd.grad(out.square().sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_small_squares_are_all_summed_in_half_precision(dtype: torch.dtype) -> None:
    x = torch.ones(1, 96, 96, 2, dtype=dtype)
    x[..., 1] = 2
    torch.testing.assert_close(response_norm(x, None), torch.tensor([[1.0, 2.0]]) / 1.5)
