"""The images of an analysis: a part of a set, or a few to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fcmae.images import FolderSet, ImageSet, Unreadable, centre_crop, epoch_order, open_images
from fcmae.images.fixed_images import Pictures, choose
from fcmae.inference.embed import digest
from fcmae.inference.predict import find


@dataclass(frozen=True, slots=True)
class Part:
    """Some images of a set, in the order of `indices`."""

    images: ImageSet
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int, channels: int) -> Tensor:
        """As the image set reads it."""
        return self.images.read(self.indices[index], channels)

    def name(self, index: int) -> str:
        """As the image set calls it."""
        return self.images.name(self.indices[index])

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The class of each, where classes are known."""
        labels = self.images.labels
        return None if labels is None else tuple(labels[index] for index in self.indices)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of the whole set."""
        return self.images.classes


def part_of(images: ImageSet, number: int | None) -> Part:
    """So many images, drawn the same each time; all of them where there are fewer.

    Raises:
        ValueError: if the number is less than 1.
    """
    if number is not None and number < 1:
        raise ValueError(f"num_images {number}: at least 1 is needed")
    if number is None or number >= len(images):
        return Part(images, range(len(images)))
    return Part(images, sorted(epoch_order(len(images), seed=0, epoch=0)[:number].tolist()))


def names_of(images: ImageSet) -> str:
    """A fingerprint of the images' names, and of their classes where these are known."""
    labels = images.labels or [0] * len(images)
    return digest(
        f"{images.name(index)}\n{label}\n".encode(errors="backslashreplace")
        for index, label in enumerate(labels)
    )


def place_of(data: str) -> str:
    """Where images are, in full: those of another folder may have the same names."""
    return data if data == "sample" else str(Path(data).expanduser().resolve())


def pictures_of(options: dict[str, Any], channels: int, size: tuple[int, int]) -> Pictures:
    """The images of `options["images"]`, or a few of `options["data"]`, cropped to `size`.

    Raises:
        ValueError: if neither or both are given, or an image that is named cannot be read.
    """
    named, data = options["images"], options["data"]
    if bool(named) == (data is not None):
        raise ValueError("images, data: give one of the two, files to look at or a folder of them")
    if data is not None:
        if options["num_images"] < 1:
            raise ValueError(f"num_images {options['num_images']}: at least 1 is needed")
        where = data if data == "sample" else Path(data).expanduser()
        return choose(open_images(where), channels, size, options["num_images"])
    images = FolderSet(find(named), Path())
    names = [images.name(index) for index in range(len(images))]
    try:
        read = [images.read(index, channels) for index in range(len(images))]
    except Unreadable as error:
        raise ValueError(f"images: {error}: leave it out") from error
    return Pictures(names, [centre_crop(image, size) for image in read])
