"""What decoders give: pixels as a file has them, and the one rule that brings them to channels."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Of an image's height and width, upright: by how much it may be shrunk as it is decoded. One of
# `jpeg.FACTORS`.
Shrinkage = Callable[[int, int], int]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green, blue


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


class Decoded(NamedTuple):
    """An image as it was read."""

    pixels: Tensor  # [C, H, W], upright: uint8, or float32 in 0..1
    shrunk: Shrunk | None = None  # None: whole

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the whole image."""
        if self.shrunk is not None:
            return self.shrunk.height, self.shrunk.width
        return self.pixels.shape[1], self.pixels.shape[2]


class Pixels(NamedTuple):
    """What a decoder found, before any rule is applied to it."""

    values: NDArray[Any]  # [H, W, C] as stored: uint8, uint16 or float
    alpha: bool = False  # whether the last channel is alpha
    orientation: int = 1  # EXIF: 1 upright ... 8
    shrunk: Shrunk | None = None  # None: whole


def whole(_height: int, _width: int) -> int:
    """The shrinkage of what is not to be shrunk."""
    return 1


def channels_last(values: NDArray[Any], channels: int) -> NDArray[Any]:
    """[H, W], [H, W, C] or [C, H, W], by the rule that `decode` states, to [H, W, C]."""
    if values.ndim == 2:
        return values[..., None]
    first, _, last = values.shape
    return np.moveaxis(values, 0, -1) if first == channels != last else values


def match_channels(image: Tensor, channels: int, *, alpha: bool = False) -> Tensor:
    """Convert `image` to `channels` channels.

    Alpha is composited over white, unless four channels are wanted of RGBA, which is then kept.
    Grey is repeated when three channels are wanted; of three channels, taken as RGB, the ITU-R 601
    luma is taken when one is wanted. Anything else must have the number that is wanted.

    Args:
        image: [C, H, W], uint8, or float32 in 0..1.
        channels: the number wanted.
        alpha: whether the last channel is alpha.

    Returns:
        [channels, H, W], of the same dtype.

    Raises:
        ValueError: if the rule does not lead from the one number to the other.
    """
    found = len(image)
    if alpha and not channels == found == 4:
        image = _over_white(image)
    match len(image), channels:
        case 1, 3:
            return image.expand(3, -1, -1)
        case 3, 1:
            return _like(image, torch.einsum("chw,c->hw", image.float(), torch.tensor(LUMA))[None])
        case have, wanted if have == wanted:
            return image
    raise ValueError(f"{found} channels{' with alpha' if alpha else ''}, {channels} wanted")


def _over_white(image: Tensor) -> Tensor:
    white = 255.0 if image.dtype == torch.uint8 else 1.0
    colours, alpha = image[:-1].float(), image[-1:].float() / white
    return _like(image, white - (white - colours) * alpha)


def _like(image: Tensor, result: Tensor) -> Tensor:
    return result.round().to(torch.uint8) if image.dtype == torch.uint8 else result.clamp(0, 1)
