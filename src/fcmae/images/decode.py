"""One encoded image to one tensor, or to a reason why not."""

import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from fcmae.images.jpeg import read_jpeg
from fcmae.images.pixels import Decoded, Pixels, Shrinkage, channels_last, match_channels, whole
from fcmae.images.tiff import read_tiff
from fcmae.images.unreadable import Unreadable

# Only these: whatever a file's name, Pillow goes by its content, and runs a program for some (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF")
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NPY_MAGIC = b"\x93NUMPY"

# Pillow's modes, to those whose samples are intensities.
PLAIN = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
PLAIN |= dict.fromkeys(("CMYK", "YCbCr", "HSV", "LAB"), "RGB")
WITH_ALPHA = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}


def decode(path: str | Path, channels: int) -> Tensor:
    """Read an image file upright, as EXIF says, with `channels` channels.

    What a file is, its content says, not its name. JPEG, PNG, WebP, BMP and TIFF are read as Pillow
    does, of an animation the first frame; TIFF of several pages, of more than four channels, or of
    colours of 16 bits by tifffile (the extra `tiff`); NPY as [H, W], [H, W, C], or [C, H, W] when
    the first dimension is `channels` and the last is not. 16 bits are divided by 65535; floats must
    lie in 0..1. (A PNG's colours of 16 bits are read as 8: Pillow knows no more.)

    The rule of channels: palette and CMYK become RGB first. Alpha is composited over white, unless
    `channels` is 4 and the image is RGBA, which is kept. Grey is repeated when `channels` is 3;
    colour becomes ITU-R 601 luma when it is 1. Anything else must have exactly `channels`.

    Returns:
        [channels, H, W], uint8 where the file has 8 bits, otherwise float32 in 0..1.

    Raises:
        Unreadable: whatever is wrong with the file.
    """
    with failing_as(path), open_file(path) as file:
        return decode_stream(file, channels).pixels


def decode_stream(file: BinaryIO, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
    """Read an image as `decode` does, smaller if it is a JPEG and `shrinkage` allows it.

    No more is read than the decoder asks for: of what is no image, its first bytes.

    Args:
        file: at its first byte: an opened file, or BytesIO.
        channels: the number wanted.
        shrinkage: is asked before anything is decoded: given height and width of the upright image,
            1, 2, 4 or 8.

    Returns:
        The image, [channels, height / factor, width / factor] rounded up. It is whole where
        shrinkage is 1, or this is no plain JPEG.

    Raises:
        Exception: decoders raise whatever they like; `failing_as` puts it in words.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # corrupt EXIF, or more than 89 megapixels: no matter
        values, alpha, orientation, shrunk = _read(file, channels, shrinkage)
        values = _scale(_upright(values, orientation))
        # A copy where need be. That of a line of one pixel, flipped, numpy calls needless: its
        # step is negative, and torch takes none that is.
        ordered = values.copy() if min(values.strides) < 0 else values
        ordered = np.require(ordered, requirements=["C", "W"])
        image = torch.from_numpy(ordered).permute(2, 0, 1)
        return Decoded(match_channels(image, channels, alpha=alpha), shrunk)


def open_file(path: str | Path) -> BinaryIO:
    """Open what is a file: a pipe would be waited for."""
    path = Path(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a file")
    return path.open("rb")


@contextmanager
def failing_as(name: str | Path) -> Iterator[None]:
    """Whatever is raised within is why the image of this name is unreadable."""
    try:
        yield
    except Exception as error:
        raise Unreadable(name, _reason(error)) from error


def _read(file: BinaryIO, channels: int, shrinkage: Shrinkage) -> Pixels:
    magic = file.read(len(NPY_MAGIC))
    file.seek(0)
    if not magic:
        raise ValueError("empty file")
    if magic == NPY_MAGIC:
        return _read_npy(file, channels)
    if magic[:4] in TIFF_MAGIC and _is_beyond_pillow(file):
        return read_tiff(file, channels)
    return _read_pillow(file, shrinkage)


def _read_pillow(file: BinaryIO, shrinkage: Shrinkage) -> Pixels:
    with Image.open(file, formats=FORMATS) as image:
        if isinstance(image, JpegImageFile):  # MPO too, which has more than one
            pixels = read_jpeg(file, image, _orientation(image), shrinkage)
            if pixels is not None:
                return pixels
        image.load()  # first: it turns a TIFF upright, and finds what follows a PNG's pixels
        mode = PLAIN.get(image.mode, image.mode)
        if image.has_transparency_data:
            mode = WITH_ALPHA.get(image.mode, mode)
        if mode == "I":
            raise ValueError("32-bit integers, of no known range")
        values = np.array(image if mode == image.mode else image.convert(mode))
        values = values.reshape(image.height, image.width, -1)
        return Pixels(values, alpha=mode in ("LA", "RGBA"), orientation=_orientation(image))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # corrupt EXIF says nothing, and the pixels are sound
        return 1


def _upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values


def _is_beyond_pillow(file: BinaryIO) -> bool:
    """Whether this is a TIFF of which Pillow would lose pages, channels, bits or the polarity."""
    try:
        with Image.open(file, formats=["TIFF"]) as image:
            tags = image.tag_v2  # type: ignore[attr-defined]
            deep, samples = max(tags.get(258, (1,))) > 8, tags.get(277, 1)
            zero_is_white = tags.get(262) == 0
            lossy = samples > len(image.getbands()) or (deep and (samples > 1 or zero_is_white))
            return lossy or getattr(image, "n_frames", 1) > 1
    except UnidentifiedImageError:
        return True
    finally:
        file.seek(0)


def _read_npy(file: BinaryIO, channels: int) -> Pixels:
    values = np.load(file, allow_pickle=False)
    if values.ndim not in (2, 3):
        raise ValueError(f"{values.shape} is neither [H, W] nor [H, W, C]")
    return Pixels(channels_last(values, channels))


def _scale(values: NDArray[Any]) -> NDArray[Any]:
    if values.size == 0:
        raise ValueError("no pixels")
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return values.astype(np.float32) / np.float32(65535)
    if values.dtype.kind != "f":
        raise ValueError(f"{values.dtype} pixels: uint8, uint16, or floats in 0..1 are wanted")
    if not (values.min() >= 0 and values.max() <= 1):  # false for NaN too
        raise ValueError(f"floats must be in 0..1, found {values.min():g} to {values.max():g}")
    return values.astype(np.float32, copy=False)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, WebP, BMP, TIFF or NPY image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]
