"""Photographs for who has none at hand: discs of all sizes that hide each other, and noise.

Such pictures have the edges, the even areas and the spectrum of natural ones. They are saved as a
camera does, so that a decoder has as many bits to read as in a real file.
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SMALLEST = 8.0  # radius of a disc, in pixels
LARGEST = 0.4  # radius as a share of the picture's height
LAYERS = 3.0  # by how many discs a point is covered, on average
CONTRAST, COLOUR = 42.0, 15.0  # deviations of brightness and of each colour from it, of 255
BLUR = 0.8  # of optics, in pixels
NOISE = 3.0  # of the sensor: deviation, of 255
QUALITY = 90


def make_photographs(folder: Path, number: int, megapixels: float) -> list[Path]:
    """Write JPEGs, four wide to three high; the same ones every time.

    Args:
        folder: where to; it must be there.
        number: of files.
        megapixels: of each, 1 = 10^6 pixels.

    Returns:
        The files.
    """
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(height * 4 / 3)
    paths = [folder / f"{index:03d}.jpg" for index in range(number)]
    for seed, path in enumerate(paths):
        _photograph(height, width, np.random.default_rng(seed)).save(path, quality=QUALITY)
    return paths


def _photograph(height: int, width: int, random: np.random.Generator) -> Image.Image:
    largest = LARGEST * height
    # Radii of density r^-3, as in nature: every scale covers the same area.
    area = 2 * math.pi * SMALLEST**2 * math.log(largest / SMALLEST)
    number = math.ceil(LAYERS * height * width / area)
    spread = random.random(number) * (1 - (SMALLEST / largest) ** 2)
    radii = SMALLEST / np.sqrt(1 - spread)
    x, y = random.random(number) * width, random.random(number) * height
    brightness = random.normal(120, CONTRAST, (number, 1))
    colours = (brightness + random.normal(0, COLOUR, (number, 3))).clip(0, 255).astype(int)
    picture = Image.new("RGB", (width, height), (120, 120, 120))
    draw = ImageDraw.Draw(picture)
    for left, top, radius, colour in zip(
        x.tolist(), y.tolist(), radii.tolist(), colours.tolist(), strict=True
    ):
        box = (left - radius, top - radius, left + radius, top + radius)
        draw.ellipse(box, fill=tuple(colour))
    seen = np.asarray(picture.filter(ImageFilter.GaussianBlur(BLUR)), dtype=np.float32)
    noise = random.normal(0, NOISE, (height, width, 1)).astype(np.float32)
    return Image.fromarray((seen + noise).clip(0, 255).astype(np.uint8))
