"""A part of a labelled folder as a folder of links, so that every command can read it."""

from pathlib import Path

from fcmae.images import Labelled, epoch_order, open_splits
from fcmae.images.order import mix


def part_of(data: Path, out: Path, *, train: int, val: int) -> Path:
    """Link some of the images of DIR/train/CLASS and DIR/val/CLASS, alike of each class.

    Which they are depends on nothing but the folder. A second call finds them there.

    Args:
        data: the folder.
        out: the folder of links; made if need be, and nothing but links may be in it.
        train: images of train, at least one a class; 0 for all.
        val: likewise.

    Returns:
        `out`, or `data` where all of its images are wanted.

    Raises:
        ValueError: if the data are not such a folder, or a number is less than 0.
    """
    for name, number in (("num_images", train), ("num_val_images", val)):
        if number < 0:
            raise ValueError(f"{name} {number}: a number of images is needed, or 0 for all")
    splits = {"train": (train, 0), "val": (val, 1)}
    opened = dict(zip(splits, open_splits(data), strict=True))
    if all(number in (0, len(opened[split])) for split, (number, _) in splits.items()):
        return data
    wanted = {
        out / split / name: (data / split / name).absolute()
        for split, (number, salt) in splits.items()
        for name in names_of(opened[split], number, salt)
    }
    for link in out.rglob("*"):
        if link.is_symlink() and link not in wanted:
            link.unlink()
    for link, image in wanted.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if not (link.is_symlink() and link.readlink() == image):
            link.unlink(missing_ok=True)
            link.symlink_to(image)
    return out


def names_of(images: Labelled, number: int, salt: int) -> list[str]:
    """The names of about `number` images, as many of each class, at least one; 0 for all."""
    by_class: list[list[str]] = [[] for _ in images.classes]
    for index, label in enumerate(images.labels):
        by_class[label].append(images.name(index))
    each = max(number // len(by_class), 1) if number else len(images)
    return [
        names[index]
        for label, names in enumerate(by_class)
        for index in epoch_order(len(names), mix(salt, label), epoch=0)[:each].tolist()
    ]
