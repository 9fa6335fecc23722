"""Whole runs: a small folder of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty small pictures with structure in them, nested, of several sizes and modes."""
    root = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(0)
    for i in range(30):
        height, width = 40 + i, 72 - i
        y, x = np.mgrid[:height, :width]
        waves = [127 + 120 * np.sin(x / (3 + c + i % 5) + y / (4 + i % 3)) for c in range(3)]
        pixels = np.stack(waves, -1) + noise.normal(0, 4, (height, width, 3))
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        place = root / f"group{i % 3}"
        place.mkdir(exist_ok=True)
        (picture.convert("L") if i % 7 == 0 else picture).save(place / f"{i:02d}.png")
    return root
