"""The images of an analysis: some of a set to measure on, or a few to look at."""

from pathlib import Path

from fcmae.commands.analyze import FewImages
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


def drawn(images: ImageSet[object], number: int | None) -> list[int]:
    """Which images to measure on, the same each time; all of them where there are fewer.

    Raises:
        ValueError: if the number is less than 1.
    """
    if number is not None and number < 1:
        raise ValueError(f"num_images {number}: at least 1 is needed")
    return draw(len(images), len(images) if number is None else number)


def describe_images(data: str | Path, images: ImageSet[int | None]) -> dict[str, str]:
    """Where images are, in full, since those of another folder may have the same names, and which.

    Returns:
        The place as "data", and as "files" a digest of the names, and of the classes where known.
    """
    names = digest(
        f"{images.name(index)}\n{images.target(index) or 0}\n".encode(errors="backslashreplace")
        for index in range(len(images))
    )
    where = data if data == "sample" else Path(data).expanduser().resolve()
    return {"data": str(where), "files": names}


def open_set(data: str | Path) -> ImageSet[int | None]:
    """All images of a folder, a list or the sample set."""
    return open_images(data if data == "sample" else Path(data).expanduser())


def open_pictures(options: FewImages, channels: int, size: tuple[int, int]) -> Pictures:
    """The images that are named, or a few of `data`, cropped to `size`.

    Raises:
        ValueError: if neither or both are given, or an image that is named cannot be read.
    """
    if bool(options.images) == (options.data is not None):
        raise ValueError("images, data: give one of the two, files to look at or a folder of them")
    if options.data is not None:
        if options.num_images < 1:
            raise ValueError(f"num_images {options.num_images}: at least 1 is needed")
        return choose(open_set(options.data), channels, size, options.num_images)
    images = EncodedSet(FileSource(find(options.images), Path()))
    names = [images.name(index) for index in range(len(images))]
    try:
        read = [images.read(index, channels).pixels for index in range(len(images))]
    except Unreadable as error:
        raise ValueError(f"images: {error}: leave it out") from error
    return Pictures(names, [centre_crop(image, size) for image in read])
