"""Pictures in a grid, beside and below each other, as a figure of matplotlib."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fcmae.report.charts import INK, PAPER
from fcmae.report.files import WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE, SPACE = 0.25, 0.12  # inches: the height of a line of text, and between pictures
NAME_LETTERS = 60
LETTER_WIDTH = 0.075  # inches, of a title
LEAST_WIDTH = 1.4  # inches of a square picture: with many of them the figure is wider


@dataclass(frozen=True, slots=True)
class GridPicture:
    """Colours [H, W, 3] in 0..1, or values [H, W] within `limits`, NaN where there is none."""

    pixels: NDArray[np.float64]
    limits: tuple[float, float] = (0.0, 1.0)


def colours(image: Tensor) -> GridPicture:
    """An image [C, H, W] in 0..1: one or two channels grey, of more the first three in colour."""
    shown = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
    return GridPicture(shown.clamp(0, 1).permute(1, 2, 0).double().numpy())


def draw_grid(
    rows: Sequence[Sequence[GridPicture | None]], columns: Sequence[str], names: Sequence[str]
) -> "Figure":
    """Draw pictures; those of a column are as wide as the widest of them, and no row is higher.

    Args:
        rows: pictures; every row has as many, and None where there is none.
        columns: what stands above each column.
        names: what stands under each row, at its left.
    """
    from matplotlib.figure import Figure

    ratios = [
        max(picture.pixels.shape[1] / picture.pixels.shape[0] for picture in column if picture)
        for column in zip(*rows, strict=True)
    ]
    width = max(WIDTH, LEAST_WIDTH * sum(ratios) + SPACE * (len(ratios) + 1))
    height = (width - SPACE * (len(ratios) + 1)) / sum(ratios)  # of a picture
    whole = (height + LINE) * len(rows) + LINE
    figure = Figure(figsize=(width, whole), facecolor=PAPER)
    for row, (pictures, name) in enumerate(zip(rows, names, strict=True)):
        left, bottom = SPACE, whole - LINE - height - row * (height + LINE)
        for number, (picture, ratio) in enumerate(zip(pictures, ratios, strict=True)):
            wide = ratio * height
            axes = figure.add_axes((left / width, bottom / whole, wide / width, height / whole))
            axes.set_axis_off()
            if picture is not None:
                low, high = picture.limits
                axes.imshow(picture.pixels, "viridis", vmin=low, vmax=high, interpolation="none")
            if row == 0:
                title = shortened(columns[number], int(wide / LETTER_WIDTH))
                axes.set_title(title, fontsize=8.5, color=INK, pad=4)
            left += wide + SPACE
        below = (bottom - SPACE / 2) / whole
        text = shortened(name, NAME_LETTERS)
        figure.text(SPACE / width, below, text, fontsize=7, color=INK, va="top")
    return figure


def shortened(text: str, letters: int) -> str:
    """The end of a text, where it is longer than so many letters."""
    return text if len(text) <= letters else f"…{text[1 - letters :]}"
