"""JPEGs by libjpeg-turbo: the pixels that Pillow gives too, sooner, and smaller ones sooner still.

Shrinking takes place before the pixels are made, in the cosines of each block of 8 x 8, so that
most of the work of decoding is never done.
"""

from pathlib import Path

from PIL import Image

from fcmae.images.pixels import Pixels, Shrinkage, Shrunk

FACTORS = (1, 2, 4, 8)
BLOCK = 8  # pixels a side of what is encoded together
COLOURS = {"L": "GRAY", "RGB": "RGB"}  # of Pillow's modes; the others are left to Pillow
TURNED = (5, 6, 7, 8)  # EXIF orientations with rows for columns
FROM_BELOW, FROM_RIGHT = (3, 4, 7, 8), (2, 3, 6, 7)  # those that are flipped once they are turned


def read_jpeg(
    path: Path, header: Image.Image, orientation: int, shrinkage: Shrinkage
) -> Pixels | None:
    """Decode a JPEG of grey or RGB.

    Args:
        path: the file.
        header: the file as Pillow opened it, of which nothing but the header was read.
        orientation: as EXIF says; `Pixels` are as they are stored.
        shrinkage: by how much the image may be shrunk.

    Returns:
        None for anything unusual: let Pillow decode it, or say what is wrong with it.
    """
    import simplejpeg  # not before a JPEG is read: random images are trained on without it

    if header.mode not in COLOURS:
        return None
    width, height = header.size
    turned = orientation in TURNED
    upright = (width, height) if turned else (height, width)
    # Below a block's size, several scales of libjpeg's round to the same number of pixels.
    factor = shrinkage(*upright) if min(upright) >= BLOCK else 1
    assert factor in FACTORS
    rows, columns = -(-height // factor), -(-width // factor)
    asked = {} if factor == 1 else {"min_height": rows, "min_width": columns}
    try:
        values = simplejpeg.decode_jpeg(path.read_bytes(), COLOURS[header.mode], **asked)
    except ValueError:
        return None
    if values.shape[:2] != (rows, columns):
        return None
    if factor == 1:
        return Pixels(values, orientation=orientation)
    below, right = rows * factor - height, columns * factor - width
    if turned:
        below, right = right, below
    top = below if orientation in FROM_BELOW else 0
    left = right if orientation in FROM_RIGHT else 0
    shrunk = Shrunk(factor, *upright, top, left)
    return Pixels(values, orientation=orientation, shrunk=shrunk)
