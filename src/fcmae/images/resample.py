"""Antialiased bicubic resizing of a window whose edges lie between pixels.

torch's and torchvision's take windows of whole pixels: of an image that was shrunk, such a window
would be off by up to half a pixel, which is most of what could be told apart from the exact result.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

SUPPORT = 2.0  # pixels to either side that the cubic reaches
A = -0.5  # the cubic's parameter: what Pillow and torch take where they antialias


class _Taps(NamedTuple):
    """Which pixels make up each place of the result, along one axis."""

    pixels: Tensor  # int64 [size, taps], counted from `first`
    weights: Tensor  # float32 [size, taps], of sum 1
    first: int  # the first pixel that counts
    last: int  # the one after the last


def resample(
    image: Tensor, rows: tuple[float, float], columns: tuple[float, float], size: tuple[int, int]
) -> Tensor:
    """Resize a window of an image; what lies beyond it has no influence.

    Args:
        image: uint8 [C, H, W].
        rows: where the window begins and ends, 0 <= begin < end <= H.
        columns: the same from 0 to W.
        size: height and width of the result, in pixels.

    Returns:
        float32 [C, *size], in 0..1, of the values that 8 bits have.
    """
    down, across = _taps(*rows, size[0]), _taps(*columns, size[1])
    window = image[:, down.first : down.last, across.first : across.last]
    channels, high, wide = window.shape
    # Weighted sums of rows are what embedding_bag is fast at; each is summed in one order.
    x = window.permute(1, 2, 0).float().reshape(high, wide * channels)
    x = embedding_bag(down.pixels, x, per_sample_weights=down.weights, mode="sum")
    x = x.view(size[0], wide, channels).transpose(0, 1).reshape(wide, size[0] * channels)
    x = embedding_bag(across.pixels, x, per_sample_weights=across.weights, mode="sum")
    x = x.view(size[1], size[0], channels).permute(2, 1, 0)
    return x.round().clamp(0, 255).contiguous() / 255


def _taps(begin: float, end: float, size: int) -> _Taps:
    scale = (end - begin) / size
    stretch = max(scale, 1.0)  # the cubic is widened to blur what the result cannot show
    centres = begin + scale * (torch.arange(size, dtype=torch.float64) + 0.5)  # [size]
    taps = math.ceil(2 * SUPPORT * stretch) + 1
    start = torch.floor(centres - SUPPORT * stretch + 0.5).long()
    pixels = start[:, None] + torch.arange(taps)  # [size, taps]
    weights = _cubic((pixels + 0.5 - centres[:, None]).abs() / stretch)
    inside = (pixels + 1.0).clamp(max=end) - pixels.double().clamp(min=begin)
    weights = weights * inside.clamp(min=0)  # a pixel that the edge divides counts in part
    weights = weights / weights.sum(1, keepdim=True)
    first, last = math.floor(begin), math.ceil(end)
    return _Taps(pixels.clamp(first, last - 1) - first, weights.float(), first, last)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic of distances from 0 on."""
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * A - 4 * A
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
