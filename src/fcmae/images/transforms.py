"""Crops: a random one for training (Table 1 of the paper), a centred one for reports."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fcmae.images.jpeg import FACTORS
from fcmae.images.order import mix
from fcmae.images.pixels import Decoded, Shrunk
from fcmae.images.resample import resample

ASPECT_RATIOS = (3 / 4, 4 / 3)  # width over height, of random crops
LOG_RATIOS = (math.log(ASPECT_RATIOS[0]), math.log(ASPECT_RATIOS[1]))
ATTEMPTS = 10
# Pixels that a shrunk window must have, a side, for each of the result. 1 is hardly faster and
# three times as far off at hard edges; 2 halves the error, but leaves common windows whole.
# `fcmae benchmark images` measures speed and error.
ENOUGH = 1.5


class Window(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int


class Crop(NamedTuple):
    """What a random crop is: drawn once, for an image and for whatever belongs to its pixels."""

    window: Window  # of the whole image
    flipped: bool  # from left to right, once it is cut out and resized


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """The seed of the randomness of one image in one epoch, the same everywhere and always."""
    return mix(seed, epoch, index)


def random_resized_crop(
    image: Decoded,
    size: tuple[int, int],
    scale: tuple[float, float] = (0.2, 1.0),
    horizontal_flip: float = 0.5,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Crop at random, resize, and flip half of the time: the paper's pre-training augmentation.

    Table 1 lists RandomResizedCrop alone; the authors' code flips as well. The draws are those of
    torchvision's RandomResizedCrop and RandomHorizontalFlip, from the generator that is given.

    Args:
        image: the image, shrunk by no more than `shrinkage` says.
        size: height and width of the result, in pixels.
        scale: bounds of the crop's share of the image's area.
        horizontal_flip: probability of a flip.
        generator: decides the crop and the flip.

    Returns:
        float32 [C, *size] in 0..1, resized bicubically with antialiasing.
    """
    window = random_window(*image.size, scale, generator)
    return crop(image, Crop(window, uniform(0, 1, generator) < horizontal_flip), size)


def crop(image: Decoded, drawn: Crop, size: tuple[int, int]) -> Tensor:
    """Cut a crop out of an image, resized to `size`: float32 [C, *size] in 0..1."""
    pixels, shrunk = image
    if shrunk is None:
        seen = _resized(pixels, drawn.window, size)
    else:
        seen = _of_shrunk(pixels, shrunk, drawn.window, size)
    return seen.flip(-1) if drawn.flipped else seen


def random_window(
    height: int, width: int, scale: tuple[float, float], generator: torch.Generator
) -> Window:
    """A window of random area, aspect ratio and place; after ten misfits, a centred one."""

    def below(bound: int) -> int:
        return int(torch.randint(0, bound, (1,), generator=generator).item())

    for _ in range(ATTEMPTS):
        area = height * width * uniform(*scale, generator)
        ratio = math.exp(uniform(*LOG_RATIOS, generator))
        rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            return Window(below(height - rows + 1), below(width - columns + 1), rows, columns)
    ratio = min(max(width / height, ASPECT_RATIOS[0]), ASPECT_RATIOS[1])
    return centred_window(height, width, ratio)


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A number between two others."""
    return torch.empty(1).uniform_(low, high, generator=generator).item()


def shrinkage(window: Window, size: tuple[int, int]) -> int:
    """By how much an image may be shrunk as it is decoded, if `window` of it becomes `size`."""
    return max(
        factor
        for factor in FACTORS
        if factor == 1
        or (
            window.height >= ENOUGH * factor * size[0] and window.width >= ENOUGH * factor * size[1]
        )
    )


def centre_crop(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest centred crop of the shape of `size`, resized to it.

    Args:
        image: [C, H, W], uint8, or float32 in 0..1.
        size: height and width of the result, in pixels.

    Returns:
        float32 [C, *size] in 0..1, resized bicubically with antialiasing.
    """
    return _resized(image, centred_window(image.shape[1], image.shape[2], size[1] / size[0]), size)


CROP_RATIO = 224 / 256  # of the resized image's shorter side, below
SQUASHED_FROM = 384  # pixels


def evaluation_crop(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The view that accuracies are measured on (authors' code).

    Below 384 pixels, the image is resized until it just covers size / (224 / 256), and the centre
    is cut out of it; from 384 on, the whole image is squashed to `size`.

    Args:
        image: [C, H, W], uint8, or float32 in 0..1.
        size: height and width of the result, in pixels.

    Returns:
        float32 [C, *size] in 0..1, resized bicubically with antialiasing.
    """
    height, width = size
    if max(size) >= SQUASHED_FROM:
        return _resized(image, Window(0, 0, *image.shape[1:]), size)
    rows, columns = int(height / CROP_RATIO), int(width / CROP_RATIO)
    high, wide = image.shape[1:]
    if rows * wide >= columns * high:  # the height decides; of a square size, the shorter side
        resized = (rows, rows * wide // high)
    else:
        resized = (columns * high // wide, columns)
    top, left = round((resized[0] - height) / 2), round((resized[1] - width) / 2)
    return _as_float(_cut(_resize(image, resized), Window(top, left, height, width)))


def centred_window(height: int, width: int, ratio: float) -> Window:
    """The largest window of an image that is centred and `ratio` as wide as high."""
    rows = max(1, min(height, round(width / ratio)))
    columns = max(1, min(width, round(height * ratio)))
    return Window((height - rows) // 2, (width - columns) // 2, rows, columns)


def _resized(image: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    # 8-bit images stay so until resized: torch is fastest on them, and rounds and clamps.
    return _as_float(_resize(_cut(image, window), size))


def _cut(image: Tensor, window: Window) -> Tensor:
    top, left, height, width = window
    return image[:, top : top + height, left : left + width]


def _resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.shape[1:] == size:
        return image
    # Not by torchvision, which does the same but takes more than a second to be imported.
    return interpolate(image[None], size=size, mode="bicubic", antialias=True)[0]


def _of_shrunk(image: Tensor, shrunk: Shrunk, window: Window, size: tuple[int, int]) -> Tensor:
    top, left = window.top + shrunk.top, window.left + shrunk.left
    rows = (top / shrunk.factor, (top + window.height) / shrunk.factor)
    columns = (left / shrunk.factor, (left + window.width) / shrunk.factor)
    return resample(image, rows, columns, size)


def _as_float(image: Tensor) -> Tensor:
    if image.dtype == torch.uint8:
        image = image.float() * (1 / 255)
    return image.clamp(0, 1).contiguous()
