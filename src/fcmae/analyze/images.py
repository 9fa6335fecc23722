"""The images of an analysis: some of a set to measure on, or a few to look at, drawn in a grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fcmae.commands.analyze import FewImages
from fcmae.images import (
    EncodedSet,
    FileSource,
    ImageSet,
    Unreadable,
    centre_crop,
    draw,
    open_images,
)
from fcmae.images.fixed_images import Pictures, choose
from fcmae.inference.predict import find
from fcmae.report.charts import INK, PAPER
from fcmae.report.files import WIDTH
from fcmae.storage.digest import digest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE, SPACE = 0.25, 0.12  # inches: the height of a line of text, and between pictures
NAME_LETTERS = 60
LETTER_WIDTH = 0.075  # inches, of a title
LEAST_WIDTH = 1.4  # inches of a square picture: with many of them the figure is wider


def drawn(images: ImageSet[object], number: int | None) -> list[int]:
    """Which images to measure on, the same each time; all of them where there are fewer.

    Raises:
        ValueError: if the number is less than 1.
    """
    if number is not None and number < 1:
        raise ValueError(f"num_images {number}: at least 1 is needed")
    return draw(len(images), len(images) if number is None else number)


def describe_images(data: str | Path, images: ImageSet[int | None]) -> dict[str, str]:
    """Where images are, in full, since those of another folder may have the same names, and which.

    Returns:
        The place as "data", and as "files" a digest of the names, and of the classes where known.
    """
    names = digest(
        f"{images.name(index)}\n{images.target(index) or 0}\n".encode(errors="backslashreplace")
        for index in range(len(images))
    )
    where = data if data == "sample" else Path(data).expanduser().resolve()
    return {"data": str(where), "files": names}


def open_set(data: str | Path) -> ImageSet[int | None]:
    """All images of a folder, a list or the sample set."""
    return open_images(data if data == "sample" else Path(data).expanduser())


def open_pictures(options: FewImages, channels: int, size: tuple[int, int]) -> Pictures:
    """The images that are named, or a few of `data`, cropped to `size`.

    Raises:
        ValueError: if neither or both are given, or an image that is named cannot be read.
    """
    if bool(options.images) == (options.data is not None):
        raise ValueError("images, data: give one of the two, files to look at or a folder of them")
    if options.data is not None:
        if options.num_images < 1:
            raise ValueError(f"num_images {options.num_images}: at least 1 is needed")
        return choose(open_set(options.data), channels, size, options.num_images)
    images = EncodedSet(FileSource(find(options.images), Path()))
    names = [images.name(index) for index in range(len(images))]
    try:
        read = [images.read(index, channels).pixels for index in range(len(images))]
    except Unreadable as error:
        raise ValueError(f"images: {error}: leave it out") from error
    return Pictures(names, [centre_crop(image, size) for image in read])


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
    rows: Sequence[Sequence[GridPicture]], columns: Sequence[str], names: Sequence[str]
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
    width = max(WIDTH, LEAST_WIDTH * sum(ratios) + SPACE * (len(ratios) + 1))
    height = (width - SPACE * (len(ratios) + 1)) / sum(ratios)  # of a picture
    whole = (height + LINE) * len(rows) + LINE
    figure = Figure(figsize=(width, whole), facecolor=PAPER)
    for row, (pictures, name) in enumerate(zip(rows, names, strict=True)):
        left, bottom = SPACE, whole - LINE - height - row * (height + LINE)
        for number, (picture, ratio) in enumerate(zip(pictures, ratios, strict=True)):
            wide = ratio * height
            axes = figure.add_axes((left / width, bottom / whole, wide / width, height / whole))
            low, high = picture.limits
            axes.imshow(picture.pixels, cmap="viridis", vmin=low, vmax=high, interpolation="none")
            axes.set_axis_off()
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
