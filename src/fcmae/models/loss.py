"""The loss: mean squared error on masked cells, against pixels normalised within each cell."""

import torch
from torch import Tensor

EPSILON = 1e-6  # added to the variance, as in the authors' code


def patchify(images: Tensor, side: int) -> Tensor:
    """Cut images into cells: [B, C, H, W] -> [B, H / side, W / side, side * side * C].

    The values of a cell run over rows, columns, then channels, as in the authors' code.
    """
    batch, channels, height, width = images.shape
    cells = images.reshape(batch, channels, height // side, side, width // side, side)
    return cells.permute(0, 2, 4, 3, 5, 1).flatten(3)  # [B, h, w, side, side, C] -> flat


def unpatchify(cells: Tensor, side: int) -> Tensor:
    """Put cells back together: the inverse of `patchify`."""
    batch, rows, columns, values = cells.shape
    x = cells.view(batch, rows, columns, side, side, values // side**2)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, rows * side, columns * side)


def normalise(cells: Tensor) -> Tensor:
    """Subtract each cell's mean and divide by its deviation (unbiased), over the last dimension."""
    variance, mean = torch.var_mean(cells, dim=-1, keepdim=True)
    return (cells - mean) / (variance + EPSILON).sqrt()


def denormalise(prediction: Tensor, cells: Tensor) -> Tensor:
    """Give a prediction the mean and deviation of the true cells, to look at it."""
    variance, mean = torch.var_mean(cells, dim=-1, keepdim=True)
    return prediction * (variance + EPSILON).sqrt() + mean


def reconstruction_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over masked cells, [N, values] each; every masked cell counts the same."""
    return (
        (prediction.float() if prediction.dtype != torch.float64 else prediction)
        .sub(target)
        .square()
        .mean()
    )
