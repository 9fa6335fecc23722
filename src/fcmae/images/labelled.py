"""Images with classes: folders by split and class, and shares of them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from fcmae.errors import unknown
from fcmae.images.files import list_images
from fcmae.images.order import epoch_order, mix
from fcmae.images.pixels import Shrinkage, Shrunk
from fcmae.images.sets import SPLITS, FolderSet, TrainingSet


class Labelled:
    """Images of which every one has a class; a part of an image set, in an order of its own.

    Args:
        images: a set with labels.
        indices: the images of it that this one has; None for all.
    """

    def __init__(self, images: TrainingSet, indices: Sequence[int] | None = None) -> None:
        assert images.labels is not None
        self._images = images
        self._indices = range(len(images)) if indices is None else indices
        self.labels = tuple(images.labels[index] for index in self._indices)
        self.classes = images.classes

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, index: int, channels: int) -> Tensor:
        """As the image set reads it."""
        return self._images.read(self._indices[index], channels)

    def read_shrunk(
        self, index: int, channels: int, shrinkage: Shrinkage
    ) -> tuple[Tensor, Shrunk | None]:
        """As the image set reads it."""
        return self._images.read_shrunk(self._indices[index], channels, shrinkage)

    def name(self, index: int) -> str:
        """As the image set calls it."""
        return self._images.name(self._indices[index])

    def counts(self) -> list[int]:
        """The number of images of each class."""
        counts = [0] * len(self.classes)
        for label in self.labels:
            counts[label] += 1
        return counts


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
        from fcmae.images.sample import SampleSet

        return Labelled(SampleSet(split))
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
    return Labelled(FolderSet(paths, folder, tuple(labels), tuple(classes)))


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


def share(images: Labelled, part: float, seed: int) -> Labelled:
    """A part of the labels: of each class the same share, at least one image, drawn by `seed`.

    Raises:
        ValueError: unless 0 < part <= 1.
    """
    if not 0 < part <= 1:
        raise ValueError(f"label share {part}: more than 0 and at most 1 is needed")
    if part == 1:
        return images
    by_class: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(images.labels):
        by_class[label].append(index)
    kept: list[int] = []
    for label, indices in sorted(by_class.items()):
        order = epoch_order(len(indices), mix(seed, label), epoch=0)
        kept += [indices[i] for i in order[: max(1, round(part * len(indices)))].tolist()]
    return Labelled(images, sorted(kept))
