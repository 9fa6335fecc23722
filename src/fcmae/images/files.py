"""Which image files there are, in an order that does not depend on the file system."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

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


def digest(names: Iterable[str]) -> str:
    """What tells two lists of images' names apart: another for other names, or another order."""
    return hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()


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
