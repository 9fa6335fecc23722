"""A part of a labelled folder as a folder of links, so that every command can read it."""

from pathlib import Path

from fcmae.images import Labelled, open_splits
from fcmae.images.sets import draw_by_class

SALTS = {"train": 0, "val": 1}  # of what is drawn


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
        ValueError: if the data are not such a folder.
    """
    whole = dict(zip(SALTS, open_splits(data), strict=True))
    numbers = {"train": train, "val": val}
    parts = {split: drawn(whole[split], numbers[split], salt) for split, salt in SALTS.items()}
    if all(len(part) == len(whole[split]) for split, part in parts.items()):
        return data
    wanted = {
        out / split / part.name(index): (data / split / part.name(index)).absolute()
        for split, part in parts.items()
        for index in range(len(part))
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


def drawn(images: Labelled, number: int, salt: int) -> Labelled:
    """About `number` of the images, as many of each class, at least one; 0 for all."""
    if not number:
        return images
    each = max(number // len(images.classes), 1)
    return draw_by_class(images, salt, lambda _: each)
