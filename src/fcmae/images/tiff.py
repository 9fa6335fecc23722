"""TIFF beyond what Pillow reads: pages, many channels, colours of 16 bits."""

from pathlib import Path
from typing import Any

import numpy as np

from fcmae.images.pixels import Pixels, channels_last

INTENSITIES = ("MINISBLACK", "RGB", "YCBCR")  # tifffile gives YCbCr as RGB
ALPHA = (1, 2)  # ExtraSamples: associated, unassociated


def read_tiff(path: Path, channels: int) -> Pixels:
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

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        page: Any = series.keyframe
        if page.photometric.name not in INTENSITIES:
            raise ValueError(f"TIFF of several pages, or 16 bits, and {page.photometric.name}")
        axes, values = series.axes, series.asarray()
        orientation = int(page.tags[274].value) if 274 in page.tags else 1
        alpha = any(int(kind) in ALPHA for kind in page.extrasamples or ())

    match [axis for axis in axes if axis not in "YX"]:
        case []:
            values = values[..., None]
        case ["S" | "C" as axis]:
            values = np.transpose(values, [axes.index(name) for name in ("Y", "X", axis)])
        case ["Q" | "I"] if channels in (values.shape[0], values.shape[-1]):
            values = channels_last(values, channels)
        case _:
            raise ValueError(f"axes {axes} of {values.shape}: not one image of {channels} channels")
    return Pixels(values, alpha=alpha and "S" in axes, orientation=orientation)
