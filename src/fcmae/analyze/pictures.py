"""A grid of pictures as a figure: a row for each image, a column for each thing shown of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fcmae.findings.figures import INK, PAPER, WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL, SPACE = 0.25, 0.12  # inches for a line of text, and between pictures
LONG = 60  # letters of a name
LETTER = 0.075  # inches, of a title
NARROWEST = 1.4  # inches of a square picture: with many of them the figure is wider
GAP = 1  # sites between two maps


@dataclass(frozen=True, slots=True)
class Picture:
    """Colours [H, W, 3] in 0..1, or values [H, W] within `limits`, NaN where there is none."""

    pixels: NDArray[np.float64]
    limits: tuple[float, float] = (0.0, 1.0)


def colours(image: Tensor) -> Picture:
    """An image [C, H, W] in 0..1: one or two channels grey, of more the first three in colour."""
    shown = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
    return Picture(shown.clamp(0, 1).permute(1, 2, 0).double().numpy())


def mosaic(maps: Tensor, limits: tuple[float, float]) -> Picture:
    """Maps [h, w, C] beside and below each other, as many in a row as rows, if that comes out."""
    height, width, number = maps.shape
    columns = round(np.ceil(np.sqrt(number * height / width)))
    rows = -(-number // columns)
    empty = torch.full((rows * (height + GAP), columns * (width + GAP)), torch.nan)
    for place in range(number):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        empty[top : top + height, left : left + width] = maps[:, :, place]
    return Picture(empty[:-GAP, :-GAP].double().numpy(), limits)


def draw_grid(
    rows: Sequence[Sequence[Picture]], columns: Sequence[str], names: Sequence[str]
) -> "Figure":
    """Draw pictures; those of a column are as wide as the widest of them, and no row is higher.

    Args:
        rows: pictures; every row has as many.
        columns: what stands above each column.
        names: what stands under each row, at its left.
    """
    from matplotlib.figure import Figure

    shapes = [[picture.pixels.shape for picture in row] for row in rows]
    ratios = [max(shape[1] / shape[0] for shape in column) for column in zip(*shapes, strict=True)]
    width = max(WIDTH, NARROWEST * sum(ratios) + SPACE * (len(ratios) + 1))
    height = (width - SPACE * (len(ratios) + 1)) / sum(ratios)  # of a picture
    whole = (height + LABEL) * len(rows) + LABEL
    figure = Figure(figsize=(width, whole), facecolor=PAPER)
    for row, (pictures, name) in enumerate(zip(rows, names, strict=True)):
        left, bottom = SPACE, whole - LABEL - height - row * (height + LABEL)
        for number, (picture, ratio) in enumerate(zip(pictures, ratios, strict=True)):
            wide = ratio * height
            place = (left / width, bottom / whole, wide / width, height / whole)
            axes = figure.add_axes(place)
            low, high = picture.limits
            axes.imshow(picture.pixels, cmap="viridis", vmin=low, vmax=high, interpolation="none")
            axes.set_axis_off()
            if row == 0:
                title = shortened(columns[number], int(wide / LETTER))
                axes.set_title(title, fontsize=8.5, color=INK, pad=4)
            left += wide + SPACE
        shown = shortened(name, LONG)
        below = (bottom - SPACE / 2) / whole
        figure.text(SPACE / width, below, shown, fontsize=7, color=INK, va="top")
    return figure


def shortened(text: str, letters: int) -> str:
    """The end of a text, where it is longer than so many letters."""
    return text if len(text) <= letters else f"…{text[1 - letters :]}"
