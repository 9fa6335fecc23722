"""An image and its map of labels, cut and flipped alike."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fcmae.images.pixels import Decoded
from fcmae.images.transforms import LOG_RATIOS, Crop, Window, crop, uniform

IGNORED = 255  # the label of what does not count, and of what lies beyond the image's edges


class Segmented(NamedTuple):
    """An image and what each of its pixels shows."""

    image: Tensor  # float32 [C, height, width] in 0..1; of a batch [n, C, height, width]
    label_map: Tensor  # int64 [height, width]; of a batch [n, height, width]


@dataclass(frozen=True, slots=True)
class SegmentationView:
    """A random crop of image and label map, perhaps flipped; it may reach beyond the edges.

    Attributes:
        size: height and width, in pixels.
        crop_scale: bounds of the crop's area, in that of the image. From more than 1 on, and for
            crops that are longer than the image, there is something beyond its edges.
        horizontal_flip: probability.
        fill: colour beyond the edges, C values in 0..1: the data's mean.
    """

    size: tuple[int, int]
    crop_scale: tuple[float, float]
    horizontal_flip: float
    fill: tuple[float, ...]

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """Not at all: labels belong to whole pixels."""
        return 1

    def __call__(self, image: Decoded, target: Tensor, seed: int) -> Segmented:
        """Crop and flip as `seed` says; the label map is [H, W], as the image."""
        assert image.shrunk is None
        height, width = image.size
        if target.shape != (height, width):
            raise ValueError(
                f"its label map has {target.shape[0]} x {target.shape[1]} pixels: image and label "
                "map must have the same size"
            )
        drawn = draw_roaming_crop(
            (height, width),
            self.crop_scale,
            self.horizontal_flip,
            torch.Generator().manual_seed(seed),
        )
        padded, inside = _padded(image.pixels, drawn.window, self.fill)
        seen = crop(Decoded(padded), drawn._replace(window=inside), self.size)
        return Segmented(seen, crop_labels(target, drawn, self.size))


def draw_roaming_crop(
    size: tuple[int, int],
    scale: tuple[float, float],
    horizontal_flip: float,
    generator: torch.Generator,
) -> Crop:
    """Draw a crop of an image of height and width `size` that may be larger than it.

    Where it is shorter than the image, it lies within it; where it is longer, the image within it.
    """

    def place(length: int, whole: int) -> int:
        low, high = sorted((0, whole - length))
        return int(torch.randint(low, high + 1, (1,), generator=generator).item())

    height, width = size
    area = height * width * uniform(*scale, generator)
    ratio = math.exp(uniform(*LOG_RATIOS, generator))
    rows, columns = max(1, round(math.sqrt(area / ratio))), max(1, round(math.sqrt(area * ratio)))
    window = Window(place(rows, height), place(columns, width), rows, columns)
    return Crop(window, uniform(0, 1, generator) < horizontal_flip)


def crop_labels(label_map: Tensor, drawn: Crop, size: tuple[int, int]) -> Tensor:
    """Cut a crop out of a label map [H, W]: int64 [*size], of nearest labels.

    A pixel of the result has the label of the pixel that its centre lies in, or IGNORED.
    """
    top, left, height, width = drawn.window
    rows, inside_rows = _nearest(top, height, size[0], label_map.shape[0])
    columns, inside_columns = _nearest(left, width, size[1], label_map.shape[1])
    seen = label_map.long()[rows[:, None], columns]
    seen = seen.masked_fill(~(inside_rows[:, None] & inside_columns), IGNORED)
    return seen.flip(-1) if drawn.flipped else seen


def _nearest(begin: int, length: int, size: int, whole: int) -> tuple[Tensor, Tensor]:
    """For each place of a result, its pixel, and whether there is one: [size] each."""
    pixels = begin + (2 * torch.arange(size) + 1) * length // (2 * size)
    return pixels.clamp(0, whole - 1), (pixels >= 0) & (pixels < whole)


def _padded(pixels: Tensor, window: Window, fill: tuple[float, ...]) -> tuple[Tensor, Window]:
    """The image with as much around it as the window takes, and the window of that."""
    channels, height, width = pixels.shape
    assert len(fill) == channels
    top, left = max(0, -window.top), max(0, -window.left)
    below = max(0, window.top + window.height - height)
    right = max(0, window.left + window.width - width)
    inside = window._replace(top=window.top + top, left=window.left + left)
    if not (top or left or below or right):
        return pixels, inside
    white = 255 if pixels.dtype == torch.uint8 else 1
    colour = torch.tensor([value * white for value in fill]).view(-1, 1, 1)
    colour = colour.round() if white == 255 else colour
    padded = colour.to(pixels.dtype).repeat(1, top + height + below, left + width + right)
    padded[:, top : top + height, left : left + width] = pixels
    return padded, inside
