"""The definition on dense maps: masked sites do not enter the norm."""

import torch
from torch import Tensor

from fcmae.ops.tiles import hide

EPSILON = 1e-6  # added to the mean over channels, as in the authors' code


def response_norm(x: Tensor, masked: Tensor | None) -> Tensor:
    """x [B, H, W, C], masked bool [B, H, W, 1] or None -> [B, C]."""
    return divide(sum_of_squares(hide(x, masked)))


def sum_of_squares(x: Tensor) -> Tensor:
    """Over sites: [N, H, W, C] -> [N, C], in float32 at least.

    Thousands of squares overflow float16 and stall bfloat16. A product and a sum, since the
    library's vector norm over leading dimensions is fifteen times slower on a processor.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return x.square().flatten(1, 2).sum(1)


def root(squares: Tensor) -> Tensor:
    """G: the norm whose square is given, with a gradient of 0, not infinity, where it is 0."""
    positive = squares > 0
    return torch.where(positive, squares, 1).sqrt() * positive


def divide(squares: Tensor) -> Tensor:
    """G is the root of the summed squares, N divides it by its mean over channels: [B, C]."""
    norm = root(squares)
    return norm / (norm.mean(dim=1, keepdim=True) + EPSILON)
