"""What a reader finds in a file, before any rule is applied to it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pixels(NamedTuple):
    """What a reader found."""

    values: NDArray[Any]  # [H, W, C] as stored: uint8, uint16 or float
    alpha: bool = False  # whether the last channel is alpha
    orientation: int = 1  # EXIF: 1 upright ... 8


def channels_last(values: NDArray[Any], channels: int) -> NDArray[Any]:
    """[H, W], [H, W, C] or [C, H, W], by the rule that `decode` states, to [H, W, C]."""
    if values.ndim == 2:
        return values[..., None]
    first, _, last = values.shape
    return np.moveaxis(values, 0, -1) if first == channels != last else values
