"""JPEGs by libjpeg-turbo, whole, or sooner and smaller.

Shrinking takes place before the pixels are made, in the cosines of each block of 8 x 8, so that
most of the work of decoding is never done.

Both simplejpeg and Pillow (as its wheels are built) hand libjpeg-turbo's pixels over, the same to
the bit. simplejpeg does so with fewer copies, and is asked first; Pillow is where it is missing, or
finds anything unusual.
"""

import functools
import logging
import os
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile
from torch.utils.data import get_worker_info

from fcmae.images.pixels import Pixels, Shrinkage, Shrunk

SUFFIXES = (".jpg", ".jpeg")
FACTORS = (1, 2, 4, 8)
BLOCK = 8  # pixels a side of what is encoded together
COLOURS = {"L": "GRAY", "RGB": "RGB"}  # of Pillow's modes; the others are not read here
TURNED = (5, 6, 7, 8)  # EXIF orientations with rows for columns
FROM_BELOW, FROM_RIGHT = (3, 4, 7, 8), (2, 3, 6, 7)  # those that are flipped once they are turned


@functools.cache
def import_simplejpeg() -> ModuleType | None:
    """The library; None where it cannot be imported, which the first process says, once."""
    try:
        import simplejpeg  # not before there are JPEGs: random images are trained on without it
    except Exception as error:  # missing, or made for another system (ImportError) or NumPy
        if get_worker_info() is None and os.environ.get("RANK", "0") == "0":
            reason = str(error).partition("\n")[0]
            logging.getLogger(__name__).warning(
                f"simplejpeg cannot be imported ({reason}), so Pillow reads JPEGs, to the same "
                "pixels but slower: pip install simplejpeg"
            )
        return None
    return simplejpeg  # type: ignore[no-any-return]


def read_jpeg(
    file: BinaryIO, header: JpegImageFile, orientation: int, shrinkage: Shrinkage
) -> Pixels | None:
    """Decode a JPEG of grey or RGB.

    Args:
        file: the file.
        header: what Pillow made of it, of which nothing but the header was read.
        orientation: as EXIF says; `Pixels` are as they are stored.
        shrinkage: by how much the image may be shrunk. Whatever it says, images of less than a
            block are decoded whole, and so are lossless ones, which have no cosines.

    Returns:
        None for other colours, with `header` as it was.

    Raises:
        Exception: Pillow's, for what is wrong with the file.
    """
    if header.mode not in COLOURS:
        return None
    width, height = header.size
    turned = orientation in TURNED
    upright = (width, height) if turned else (height, width)
    # Below a block's size, several scales of libjpeg's round to the same number of pixels.
    shrinkable = min(upright) >= BLOCK and header.quantization
    factor = shrinkage(*upright) if shrinkable else 1
    assert factor in FACTORS
    rows, columns = -(-height // factor), -(-width // factor)
    values = _by_simplejpeg(file, COLOURS[header.mode], factor, (rows, columns))
    if values is None:
        header.draft(None, (width // factor, height // factor))  # the size that asks for `factor`
        values = np.array(header).reshape(rows, columns, -1)
    if factor == 1:
        return Pixels(values, orientation=orientation)
    below, right = rows * factor - height, columns * factor - width
    if turned:
        below, right = right, below
    top = below if orientation in FROM_BELOW else 0
    left = right if orientation in FROM_RIGHT else 0
    shrunk = Shrunk(factor, *upright, top, left)
    return Pixels(values, orientation=orientation, shrunk=shrunk)


def _by_simplejpeg(
    file: BinaryIO, colour: str, factor: int, size: tuple[int, int]
) -> NDArray[Any] | None:
    library = import_simplejpeg()
    if library is None:
        return None
    asked = {} if factor == 1 else {"min_height": size[0], "min_width": size[1]}
    file.seek(0)
    try:
        values: NDArray[Any] = library.decode_jpeg(file.read(), colour, **asked)
    except ValueError:  # damage too, of which Pillow overlooks some
        return None
    return values if values.shape[:2] == size else None
