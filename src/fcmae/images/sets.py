"""What the loader reads from: images by number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from fcmae.errors import unknown
from fcmae.images.decode import decode, decode_shrunk
from fcmae.images.files import list_images
from fcmae.images.jpeg import SUFFIXES, import_simplejpeg
from fcmae.images.pixels import Shrinkage, Shrunk

SPLITS = ("train", "val")


class ImageSet(Protocol):
    """Images by number. It is copied to the loader's workers, so it must be picklable."""

    def __len__(self) -> int:
        """Number of images."""

    def read(self, index: int, channels: int) -> Tensor:
        """The image `[channels, H, W]`, uint8, or float32 in 0..1; or raise Unreadable."""

    def name(self, index: int) -> str:
        """What reports and errors call the image; no two images share a name."""

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The class of each image, where classes are known."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, where they are known."""


class TrainingSet(ImageSet, Protocol):
    """An image set that need not decode more of an image than what is drawn for it shows."""

    def read_shrunk(
        self, index: int, channels: int, shrinkage: Shrinkage
    ) -> tuple[Tensor, Shrunk | None]:
        """The image as `decode_shrunk` gives it; None where it is whole."""


class FolderSet:
    """Image files, with or without a class each.

    Args:
        paths: the files, in order.
        root: the folder that names are relative to.
        labels: the class of each, as a number.
        classes: the names of the classes.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        root: Path,
        labels: tuple[int, ...] | None = None,
        classes: tuple[str, ...] = (),
    ) -> None:
        self.root, self.labels, self.classes = root, labels, classes
        # Text, not paths: millions of them are copied to every worker.
        self._names = [
            (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
            for path in paths
        ]
        if any(name.lower().endswith(SUFFIXES) for name in self._names):
            import_simplejpeg()  # where it is missing, this says so; the loader's workers do not

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int, channels: int) -> Tensor:
        """Decode a file, as `decode` says."""
        return decode(self.root / self._names[index], channels)

    def read_shrunk(
        self, index: int, channels: int, shrinkage: Shrinkage
    ) -> tuple[Tensor, Shrunk | None]:
        """Decode a file, as `decode_shrunk` says."""
        return decode_shrunk(self.root / self._names[index], channels, shrinkage)

    def name(self, index: int) -> str:
        """The file's path below the root."""
        return self._names[index]


def open_images(data: str | Path, *, split: str = "train") -> TrainingSet:
    """Open what `--data` names.

    Args:
        data: a folder of images, nested or flat; a text file with a path a line; or "sample", the
            photographs that come with scikit-image (a folder of that name is "./sample").
        split: "train" or "val"; only the sample set has a "val" of its own.

    Raises:
        ValueError: if there are no images there, or no such split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if data == "sample":
        from fcmae.images.sample import SampleSet

        return SampleSet(split)
    if split != "train":
        raise ValueError(f"split {split!r}: {str(data)!r} has none; give the folder that holds it")
    paths = list_images(data)
    return FolderSet(paths, Path(data) if Path(data).is_dir() else Path(data).parent)
