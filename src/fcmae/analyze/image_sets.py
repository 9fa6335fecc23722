"""The images of an analysis: a part of a set, or a few to look at."""

from pathlib import Path
from typing import Any

from fcmae.images import (
    EncodedSet,
    FileSource,
    ImageSet,
    Unreadable,
    centre_crop,
    draw,
    open_images,
)
from fcmae.images.fixed_images import Pictures, choose
from fcmae.inference.predict import find
from fcmae.storage.digest import digest


def draw_part(images: ImageSet[object], number: int | None) -> list[int]:
    """Which so many images are looked at, the same each time; all of them where there are fewer.

    Raises:
        ValueError: if the number is less than 1.
    """
    if number is not None and number < 1:
        raise ValueError(f"num_images {number}: at least 1 is needed")
    return draw(len(images), len(images) if number is None else number)


def names_of(images: ImageSet[int | None]) -> str:
    """A fingerprint of the images' names, and of their classes where these are known."""
    return digest(
        f"{images.name(index)}\n{images.target(index) or 0}\n".encode(errors="backslashreplace")
        for index in range(len(images))
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
    images = EncodedSet(FileSource(find(named), Path()))
    names = [images.name(index) for index in range(len(images))]
    try:
        read = [images.read(index, channels).pixels for index in range(len(images))]
    except Unreadable as error:
        raise ValueError(f"images: {error}: leave it out") from error
    return Pictures(names, [centre_crop(image, size) for image in read])
