"""What `--data` names: files in folders, in an order that does not depend on the file system."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from fcmae.errors import unknown
from fcmae.images.decode import open_file
from fcmae.images.sample import SampleSet
from fcmae.images.sets import EncodedSet, Labelled

SPLITS = ("train", "val")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".npy")


def list_images(data: str | Path) -> list[Path]:
    """List the image files of a folder, or those that a text file names.

    A folder may be nested. Links are followed, but each real folder is read once; whatever has a
    name that starts with a dot is skipped. The files are sorted by their path below the folder.
    A text file (.txt) has one path a line, relative to itself or absolute, and its order is kept;
    blank lines and lines that start with # are skipped. Whether those files exist shows when they
    are read.

    Raises:
        ValueError: if there is no such folder or text file, or no image in it.
    """
    data = Path(data)
    if data.is_dir():
        return _list_folder(data)
    if not data.exists():
        raise ValueError(f"data {str(data)!r} does not exist: give a folder of images")
    if data.suffix.lower() != ".txt":
        raise ValueError(
            f"data {str(data)!r} is a file: give a folder of images, or a .txt with a path a line"
        )
    lines = [line.strip() for line in _text(data).splitlines()]
    paths = [data.parent / line for line in lines if line and not line.startswith("#")]
    if not paths:
        raise ValueError(f"data {str(data)!r} names no image: write one path a line")
    return paths


class FileSource:
    """Image files.

    Args:
        paths: the files, in order.
        root: the folder that names are relative to.
    """

    def __init__(self, paths: Sequence[Path], root: Path) -> None:
        self.root = root
        # Text, not paths: millions of them are copied to every worker.
        self._names = [
            (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
            for path in paths
        ]

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """The file's path below the root."""
        return self._names[index]

    def location(self, index: int) -> str:
        """The file's path."""
        return str(self.root / self._names[index])

    def open(self, index: int) -> BinaryIO:
        """The file."""
        return open_file(self.root / self._names[index])


def open_images(data: str | Path) -> EncodedSet | Labelled:
    """Open what `--data` names.

    Args:
        data: a folder of images, nested or flat; a text file with a path a line; or "sample", the
            photographs that come with scikit-image (a folder of that name is "./sample").

    Raises:
        ValueError: if there are no images there.
    """
    if data == "sample":
        return open_labelled("sample")
    paths = list_images(data)
    root = Path(data) if Path(data).is_dir() else Path(data).parent
    return EncodedSet(FileSource(paths, root))


def open_labelled(data: str | Path, split: str = "train") -> Labelled:
    """Open one split of what `--data` names: DIR/SPLIT/CLASS/..., or "sample".

    Classes are the folders' names, sorted. Below its class's folder, an image may lie anywhere.

    Raises:
        ValueError: if the split or its classes are missing, there is only one class, or one is
            empty.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if data == "sample":
        images = SampleSet(split)
        return Labelled(images, images.labels, images.classes)
    folder = Path(data) / split
    if not folder.is_dir():
        whole = Path(data).parent if Path(data).name in SPLITS else Path(data)
        raise ValueError(
            f"data {str(data)!r} has no folder {split}: images with classes lie in "
            f"{whole / split / 'CLASS'}; give {whole}"
        )
    return open_classes(folder)


def open_classes(folder: Path) -> Labelled:
    """Open FOLDER/CLASS/... as `open_labelled` does."""
    classes = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no folder of a class"
        raise ValueError(f"data: {folder} has {found}: two or more are needed, a folder each")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        try:
            files = list_images(folder / name)
        except ValueError as error:
            raise ValueError(f"class {name!r} is empty: {error}") from error
        paths += files
        labels += [label] * len(files)
    return Labelled(EncodedSet(FileSource(paths, folder)), tuple(labels), tuple(classes))


def open_splits(data: str | Path) -> tuple[Labelled, Labelled]:
    """Open "train" and "val", which must have the same classes.

    Raises:
        ValueError: as `open_labelled`, or naming the classes that one of the two lacks.
    """
    train, val = open_labelled(data, "train"), open_labelled(data, "val")
    for lacks, ours, theirs in (("val", val, train), ("train", train, val)):
        missing = [name for name in theirs.classes if name not in ours.classes]
        if missing:
            listed = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
            raise ValueError(
                f"data {str(data)!r}: {lacks} lacks {len(missing)} of the classes: {listed}; both "
                "need a folder of the same name for each class"
            )
    return train, val


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # with or without the mark of some editors
    except UnicodeDecodeError as error:
        raise ValueError(
            f"data {str(path)!r} is not UTF-8 text ({error.reason} at byte {error.start}): save it "
            "as UTF-8, or give the folder"
        ) from error


def _list_folder(folder: Path) -> list[Path]:
    def _refuse(error: OSError) -> None:
        raise ValueError(
            f"data: folder {error.filename!r} cannot be read ({error.strerror}): make it "
            "readable, or move it elsewhere"
        ) from error

    images: list[str] = []
    others: Counter[str] = Counter()
    read: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in read:
            folders.clear()
            continue
        read.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(parent).relative_to(folder).as_posix()
        for name in files:
            extension = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if extension in EXTENSIONS:
                images.append(name if below == "." else f"{below}/{name}")
            else:
                others[extension or "none"] += 1
    if not images:
        found = ", ".join(f"{number} {kind}" for kind, number in others.most_common(5)) or "no file"
        raise ValueError(
            f"data {str(folder)!r} holds no image: the extensions that count are "
            f"{' '.join(EXTENSIONS)}; found: {found}"
        )
    return [folder / name for name in sorted(images)]
