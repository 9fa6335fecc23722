import math

import pytest
import torch
from torch import Tensor

from fcmae.models.loss import denormalise, normalise, patchify, reconstruction_loss, unpatchify


def images(channels: int = 3) -> Tensor:
    return torch.randn(2, channels, 8, 12, dtype=torch.float64) * 3 + 1


def the_papers_loss(
    prediction: Tensor, pixels: Tensor, masked: Tensor, side: int, *, norm_pix: bool
) -> float:
    """Mean squared error of each masked cell, averaged over masked cells, one value at a time."""
    losses = []
    for image, row, column in masked.nonzero().tolist():
        values = [
            pixels[image, channel, row * side + y, column * side + x].item()
            for y in range(side)
            for x in range(side)
            for channel in range(pixels.shape[1])
        ]
        if norm_pix:
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
            values = [(value - mean) / math.sqrt(variance + 1e-6) for value in values]
        guess = prediction[image, row, column].tolist()
        errors = [(one - other) ** 2 for one, other in zip(guess, values, strict=True)]
        losses.append(sum(errors) / len(errors))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("norm_pix", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 13])
def test_the_loss_is_the_papers_on_ragged_masks(norm_pix: bool, channels: int) -> None:
    side, pixels = 4, images(channels)
    masked = torch.tensor([[[1, 0, 1], [0, 0, 1]], [[0, 0, 0], [0, 1, 0]]]) > 0
    prediction = torch.randn(2, 2, 3, side * side * channels, dtype=torch.float64)
    target = patchify(pixels, side)[masked]
    actual = reconstruction_loss(prediction[masked], normalise(target) if norm_pix else target)
    expected = the_papers_loss(prediction, pixels, masked, side, norm_pix=norm_pix)
    assert actual.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("channels", [1, 3, 13])
@pytest.mark.parametrize("side", [1, 2, 4])
def test_unpatchify_undoes_patchify(channels: int, side: int) -> None:
    pixels = images(channels)
    cells = patchify(pixels, side)
    assert cells.shape == (2, 8 // side, 12 // side, side * side * channels)
    assert torch.equal(unpatchify(cells, side), pixels)


def test_values_of_a_cell_run_over_rows_then_columns_then_channels() -> None:
    pixels = torch.arange(2 * 4 * 6).view(1, 2, 4, 6)
    cells = patchify(pixels, 2)
    assert cells[0, 1, 2].tolist() == [16, 40, 17, 41, 22, 46, 23, 47]  # rows 2, 3; columns 4, 5


def test_normalised_cells_have_mean_zero_and_deviation_one() -> None:
    cells = normalise(patchify(images(), 4))
    torch.testing.assert_close(cells.mean(-1), torch.zeros_like(cells[..., 0]))
    torch.testing.assert_close(
        cells.std(-1, correction=1), torch.ones_like(cells[..., 0]), rtol=1e-5, atol=0
    )


def test_denormalise_undoes_normalise() -> None:
    cells = patchify(images(), 4)
    torch.testing.assert_close(denormalise(normalise(cells), cells), cells)


def test_a_cell_of_one_colour_gives_zero_and_no_nan() -> None:
    cells = torch.full((1, 2, 2, 48), 0.7)
    assert normalise(cells).abs().max() < 1e-3
    assert normalise(cells).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_errors_of_half_precision_are_squared_in_single(dtype: torch.dtype) -> None:
    prediction = torch.full((2, 8), 1000.0, dtype=dtype)  # its square overflows float16
    loss = reconstruction_loss(prediction, torch.zeros(2, 8))
    assert loss.dtype == torch.float32
    assert loss.item() == 1e6
