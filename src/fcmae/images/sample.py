"""The sample set: crops of the photographs that come with scikit-image, to try things out on."""

import functools
import importlib.util
from pathlib import Path

import torch
from torch import Tensor

from fcmae.errors import unknown
from fcmae.images.decode import decode
from fcmae.images.order import mix
from fcmae.images.pixels import Decoded, Shrinkage, match_channels, whole
from fcmae.images.transforms import Window

PHOTOGRAPHS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "page.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
)
# Of the longer side: what lies between the two belongs to neither.
REGIONS = {"train": (0.0, 0.65), "val": (0.7, 1.0)}
CROPS = {"train": 64, "val": 16}  # a photograph


class SampleSet:
    """Square crops of 16 photographs, each a class. No pixel of "val" is in a crop of "train".

    A crop's place and side (from half to all of its region's shorter side) are a function of its
    index alone.

    Raises:
        ValueError: if scikit-image, or one of its photographs, is missing.
    """

    classes = tuple(Path(file).stem for file in PHOTOGRAPHS)

    def __init__(self, split: str = "train") -> None:
        if split not in REGIONS:
            raise unknown("split", split, REGIONS)
        folder = photograph_folder()
        missing = [file for file in PHOTOGRAPHS if not (folder / file).is_file()]
        if missing:
            raise ValueError(
                f"data 'sample': scikit-image lacks {', '.join(missing)}: "
                "pip install --upgrade 'fcmae[sample]'"
            )
        self.split = split
        self.labels = tuple(label for label in range(len(PHOTOGRAPHS)) for _ in range(CROPS[split]))

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        """The crop, uint8 [channels, side, side], whole; 1 or 3 channels can be had.

        Raises:
            ValueError: for another number of channels.
        """
        if channels not in (1, 3):
            raise ValueError(f"channels {channels}: the sample set has 1 or 3")
        top, left, height, width = self.window(index)
        image = photograph(PHOTOGRAPHS[self.labels[index]])
        crop = image[:, top : top + height, left : left + width]
        return Decoded(match_channels(crop, channels))

    def target(self, index: int) -> int:
        """The photograph that it is of."""
        return self.labels[index]

    def name(self, index: int) -> str:
        """For example "coffee/val/03"."""
        return f"{self.classes[self.labels[index]]}/{self.split}/{index % CROPS[self.split]:02d}"

    def window(self, index: int) -> Window:
        """Where in its photograph the crop lies."""
        _, height, width = photograph(PHOTOGRAPHS[self.labels[index]]).shape
        top, left, rows, columns = region(height, width, self.split)
        generator = torch.Generator().manual_seed(mix(index, list(REGIONS).index(self.split)))
        size, down, across = torch.rand(3, generator=generator).tolist()
        side = round(min(rows, columns) * (0.5 + 0.5 * size))
        down, across = int(down * (rows - side + 1)), int(across * (columns - side + 1))
        return Window(top + down, left + across, side, side)


def region(height: int, width: int, split: str) -> Window:
    """The part of a photograph that a split's crops are taken from."""
    start, stop = (int(share * max(height, width)) for share in REGIONS[split])
    if width >= height:
        return Window(0, start, height, stop - start)
    return Window(start, 0, stop - start, width)


def photograph_folder() -> Path:
    """Where scikit-image was installed with its photographs; nothing is imported or downloaded."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise ValueError("data 'sample' needs scikit-image: pip install 'fcmae[sample]'")
    return Path(package.origin).parent / "data"


@functools.cache
def photograph(file: str) -> Tensor:
    """A photograph, uint8 [3, H, W], decoded once a process."""
    return decode(photograph_folder() / file, 3)
