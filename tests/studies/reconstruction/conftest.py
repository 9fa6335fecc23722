"""A folder of images with classes, small enough for a study in seconds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcmae.studies.reconstruction import SCALES

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def write_images() -> Write:
    """Writes waves whose direction says the class; their sides differ, and some are grey."""

    def write(root: Path, *, classes: int = 6, train: int = 4) -> Path:
        draw = np.random.default_rng(0)
        for split, number in (("train", train), ("val", 2)):
            for label in range(classes):
                folder = root / split / f"class{label}"
                folder.mkdir(parents=True)
                for i in range(number):
                    y, x = np.mgrid[: 16 + i, : 18 + label]
                    wave = 127 + 100 * np.sin(x * np.cos(label) + y * np.sin(label) + i)
                    pixels = wave[..., None] + draw.normal(0, 9, (*wave.shape, 3))
                    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                    (image.convert("L") if i == 3 else image).save(folder / f"{i}.png")
        return root

    return write


@pytest.fixture(scope="session")
def images(write_images: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images to train on and 12 to measure on."""
    return write_images(tmp_path_factory.mktemp("study"))


@pytest.fixture(autouse=True)
def _few_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale's, but for the number of neighbours: 24 images have no 20 that tell anything."""
    monkeypatch.setitem(SCALES, "small", replace(SCALES["small"], neighbours=5))
