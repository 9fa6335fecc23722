"""What a reader finds in a file, before any rule is applied to it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of an image's height and width, upright: by how much it may be shrunk as it is decoded. One of
# `jpeg.FACTORS`.
Shrinkage = Callable[[int, int], int]


class Shrunk(NamedTuple):
    """How an image was shrunk as it was decoded.

    Its pixel y, x stands for rows from factor * y - top and columns from factor * x - left on,
    `factor` of each; those at the edges may stand for less.
    """

    factor: int
    height: int  # of the whole image, upright
    width: int
    top: int = 0  # rows that the first row of pixels lacks
    left: int = 0


class Pixels(NamedTuple):
    """What a reader found."""

    values: NDArray[Any]  # [H, W, C] as stored: uint8, uint16 or float
    alpha: bool = False  # whether the last channel is alpha
    orientation: int = 1  # EXIF: 1 upright ... 8
    shrunk: Shrunk | None = None  # None: whole


def channels_last(values: NDArray[Any], channels: int) -> NDArray[Any]:
    """[H, W], [H, W, C] or [C, H, W], by the rule that `decode` states, to [H, W, C]."""
    if values.ndim == 2:
        return values[..., None]
    first, _, last = values.shape
    return np.moveaxis(values, 0, -1) if first == channels != last else values
