"""TIFF beyond what Pillow reads: pages, many channels, colours of 16 bits."""

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fcmae.images.pixels import Pixels, channels_last

INTENSITIES = ("MINISWHITE", "MINISBLACK", "RGB", "YCBCR")  # tifffile gives YCbCr as RGB
ASSOCIATED, UNASSOCIATED = 1, 2  # ExtraSamples: whether the colours were multiplied by alpha


def read_tiff(file: BinaryIO, channels: int) -> Pixels:
    """Read the first image series of a TIFF.

    The file's own metadata say which axis is the channels': planar or interleaved samples, or the
    C axis of OME and ImageJ. Only where they name no axis (a stack of pages) is it taken as NPY is.

    Raises:
        ValueError: if tifffile is missing, or the series is not one image.
    """
    try:
        import tifffile
    except ImportError as error:
        raise ValueError("this TIFF needs tifffile: pip install 'fcmae[tiff]'") from error

    with tifffile.TiffFile(file) as opened:
        series = opened.series[0]
        page: Any = series.keyframe
        if page.photometric.name not in INTENSITIES:
            raise ValueError(f"TIFF of several pages, or 16 bits, and {page.photometric.name}")
        axes, values = series.axes, series.asarray()
        orientation = int(page.tags[274].value) if 274 in page.tags else 1
        extra = {int(kind) for kind in page.extrasamples or ()}
        if page.photometric.name == "MINISWHITE":
            values = np.iinfo(values.dtype).max - values

    match [axis for axis in axes if axis not in "YX"]:
        case []:
            values = values[..., None]
        case ["S" | "C" as axis]:
            values = np.transpose(values, [axes.index(name) for name in ("Y", "X", axis)])
        case ["Q" | "I"] if channels in (values.shape[0], values.shape[-1]):
            values = channels_last(values, channels)
        case _:
            raise ValueError(f"axes {axes} of {values.shape}: not one image of {channels} channels")
    alpha = "S" in axes and bool(extra & {ASSOCIATED, UNASSOCIATED})
    if alpha and ASSOCIATED in extra:
        values = _divided_by_alpha(values)
    return Pixels(values, alpha=alpha, orientation=orientation)


def _divided_by_alpha(values: NDArray[Any]) -> NDArray[Any]:
    """The colours [H, W, C] as they were before they were multiplied by the last channel."""
    white = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    alpha = values[..., -1:].astype(np.float64) / white
    colours = np.divide(
        values[..., :-1], alpha, out=np.zeros(values[..., :-1].shape), where=alpha > 0
    )
    colours = colours if values.dtype.kind == "f" else colours.round()
    colours = np.clip(colours, 0, white).astype(values.dtype)
    return np.concatenate([colours, values[..., -1:]], axis=-1)
