"""Labelled images for studies, and the smallest study there can be."""

from pathlib import Path

import pytest
from PIL import Image

TINY = (
    "image_size=16",
    "num_images=0",
    "num_val_images=0",
    "pretraining_epochs=1",
    "pretraining_batch_size=4",
    "contrastive_epochs=1",
    "contrastive_batch_size=4",
    "finetuning_epochs=1",
    "finetuning_batch_size=4",
    "supervised_epochs=1",
    "supervised_batch_size=4",
    "label_share=1",
)


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three colours, four images of each to train on and two to validate on."""
    root = tmp_path_factory.mktemp("classes")
    for number, name in enumerate(("blue", "green", "red")):
        for split, count in (("train", 4), ("val", 2)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture = Image.new("RGB", (18 + i, 20), (20, 20, 20))
                colour = [30, 30, 30]
                colour[2 - number] = 200
                picture.paste(tuple(colour), (3, 2 + i, 12, 16))
                picture.save(folder / f"{split}{i}.png")
    return root


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Values of the scale."""
    return TINY
