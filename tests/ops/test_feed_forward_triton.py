"""The passes for CUDA against their formulas; without a GPU, in Triton's interpreter."""

from functools import partial
from types import SimpleNamespace

import interpreted
import pytest
import torch
import torch.nn.functional as F
from feed_forward_checks import (
    TILES,
    assert_close,
    check_activations,
    check_an_image_without_rows,
    check_normalisation,
    images_of,
    wide,
)

kernels = interpreted.load("fcmae.ops.feed_forward.triton")
DEVICE = interpreted.DEVICE

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
dtypes = pytest.mark.parametrize("dtype", DTYPES)
tiles = pytest.mark.parametrize("tiles", TILES.values(), ids=TILES)
gpu_sizes = pytest.mark.parametrize(
    ("tiles", "width"),
    [(([20, 0, 31, 19], 64), 160), (([9, 22], 1), 11264), (([1] * 5, 3136), 512)],
)


@dtypes
@pytest.mark.parametrize(("rows", "channels"), [(70, 13), (3, 160), (5, 1), (0, 8)])
def test_normalisation_and_its_gradient(rows: int, channels: int, dtype: torch.dtype) -> None:
    check_normalisation(kernels, DEVICE, rows, channels, dtype)


def test_a_small_deviation_from_a_large_mean_does_not_cancel() -> None:
    x = 1000 + torch.tensor([[-1.0, 1.0, 0.5, -0.5]], device=DEVICE) / 64  # exact in float32
    actual, _ = kernels.normalise(x, 1e-6)
    assert_close(actual, F.layer_norm(x.double(), (4,), eps=1e-6), 1e-5)


@tiles
@pytest.mark.parametrize("width", [13, 160])
def test_activations_sums_and_gradients(tiles: tuple[list[int], int], width: int) -> None:
    check_activations(kernels, images_of(tiles, DEVICE), width, torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    check_activations(kernels, images_of(TILES["ragged"], DEVICE), 13, dtype)


@tiles
def test_without_a_factor_it_is_gelu_alone(tiles: tuple[list[int], int]) -> None:
    check_activations(kernels, images_of(tiles, DEVICE), 13, torch.float32, grn=False)


def test_an_image_without_rows_sums_to_zero() -> None:
    check_an_image_without_rows(kernels, DEVICE)


def test_squares_beyond_the_range_of_half_precision() -> None:
    h = torch.full((40, 3), 3e4, dtype=torch.float16, device=DEVICE)
    sums = kernels.squares(h, images_of(([10], 4), DEVICE))
    torch.testing.assert_close(sums, torch.full((1, 3), 40 * float(h[0, 0]) ** 2, device=DEVICE))


@pytest.mark.parametrize(
    "layout",
    [{"rows": 4}, {"rows": 8, "stages": 2}, {"rows": 1, "columns": 16, "part": 3}, {"part": 1000}],
)
@pytest.mark.parametrize("grn", [True, False])
def test_activations_agree_in_other_layouts(layout: dict[str, int], grn: bool) -> None:
    names = ("activate", "products", "squares", "activation_backward")
    images = images_of(([3, 0, 2, 1], 4), DEVICE)
    check_activations(laid_out(names, layout), images, 45, torch.float32, grn=grn)


@pytest.mark.parametrize("layout", [{"held": 1}, {"held": 256}, {"held": 512, "narrow_warps": 1}])
def test_normalisation_agrees_in_other_layouts(layout: dict[str, int]) -> None:
    names = ("normalise", "normalise_backward")
    check_normalisation(laid_out(names, layout), DEVICE, 13, 45, torch.float32)


def laid_out(names: tuple[str, ...], layout: dict[str, int]) -> SimpleNamespace:
    """The kernels of these names, always asked for this layout."""
    given = kernels.Layout(**layout)
    return SimpleNamespace(
        **{name: partial(getattr(kernels, name), layout=given) for name in names}
    )


@pytest.mark.gpu
@dtypes
@pytest.mark.parametrize(("rows", "channels"), [(5017, 40), (3001, 352), (77, 2816)])
def test_normalisation_of_real_sizes(rows: int, channels: int, dtype: torch.dtype) -> None:
    check_normalisation(kernels, DEVICE, rows, channels, dtype)


@pytest.mark.gpu
@dtypes
@gpu_sizes
def test_activations_of_real_sizes(
    tiles: tuple[list[int], int], width: int, dtype: torch.dtype
) -> None:
    check_activations(kernels, images_of(tiles, DEVICE), width, dtype)


@pytest.mark.gpu
def test_the_same_sums_have_the_same_bits() -> None:
    images = images_of(([20, 0, 31, 19], 64), DEVICE)
    h, gradient, factor, slope, shift, _ = wide(images, 160, torch.bfloat16)
    runs = [
        (
            kernels.squares(h, images),
            kernels.products(h, gradient, factor, shift, images)[1],
            kernels.activation_backward(h, gradient.clone(), factor, slope, images)[1],
        )
        for _ in range(3)
    ]
    for run in runs[1:]:
        assert all(map(torch.equal, run, runs[0]))
