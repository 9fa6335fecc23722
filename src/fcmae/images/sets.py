"""Images by number: where they come from, parts of them, and which of them a part has."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import BinaryIO, Generic, Protocol, TypeVar

from fcmae.images.decode import decode_stream, failing_as
from fcmae.images.jpeg import SUFFIXES, import_simplejpeg
from fcmae.images.order import epoch_order, mix
from fcmae.images.pixels import Decoded, Shrinkage, whole

Target = TypeVar("Target")
Target_co = TypeVar("Target_co", covariant=True)


class Source(Protocol):
    """Encoded images by number, wherever they lie: in files, in an archive, in a table.

    It is copied to the loader's workers, so it must be picklable.
    """

    def __len__(self) -> int:
        """Number of images."""

    def name(self, index: int) -> str:
        """What reports call the image; no two images share a name."""

    def location(self, index: int) -> str:
        """Where errors say that it lies."""

    def open(self, index: int) -> BinaryIO:
        """Its bytes, to be read from the first on or where a decoder looks for them.

        Raises:
            Exception: why there are none.
        """


class ImageSet(Protocol[Target_co]):
    """Images and their targets by number: a class, a label map, ...; None where there are none.

    It is copied to the loader's workers, so it must be picklable.
    """

    def __len__(self) -> int:
        """Number of images."""

    def name(self, index: int) -> str:
        """What reports and errors call the image; no two images share a name."""

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        """The image with `channels` channels, smaller where `shrinkage` allows it and it is easy.

        Raises:
            Unreadable: whatever is wrong with this image.
            ValueError: if none can be read so.
        """

    def target(self, index: int) -> Target_co:
        """What is to be learned of the image; positions are in pixels of the stored image."""


class EncodedSet:
    """The images of a source, decoded; nothing is known of them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        names = (source.name(index) for index in range(len(source)))
        if any(name.lower().endswith(SUFFIXES) for name in names):
            import_simplejpeg()  # where it is missing, this says so; the loader's workers do not

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int) -> str:
        """As the source calls it."""
        return self.source.name(index)

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        """Decode an image, as `decode` says."""
        with failing_as(self.source.location(index)), self.source.open(index) as file:
            return decode_stream(file, channels, shrinkage)

    def target(self, index: int) -> None:
        """There is none."""


class Subset(Generic[Target]):
    """Some images of a set, in the order of `indices`."""

    def __init__(self, images: ImageSet[Target], indices: Sequence[int]) -> None:
        self._images, self._indices = images, indices

    def __len__(self) -> int:
        return len(self._indices)

    def name(self, index: int) -> str:
        """As the image set calls it."""
        return self._images.name(self._indices[index])

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        """As the image set reads it."""
        return self._images.read(self._indices[index], channels, shrinkage)

    def target(self, index: int) -> Target:
        """As the image set has it."""
        return self._images.target(self._indices[index])


class Labelled:
    """Images of which every one has a class.

    Args:
        images: the images.
        labels: the class of each, as a number.
        classes: the names of the classes.
    """

    def __init__(
        self, images: ImageSet[object], labels: tuple[int, ...], classes: tuple[str, ...]
    ) -> None:
        self._images, self.labels, self.classes = images, labels, classes

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """As the image set calls it."""
        return self._images.name(index)

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        """As the image set reads it."""
        return self._images.read(index, channels, shrinkage)

    def target(self, index: int) -> int:
        """Its class."""
        return self.labels[index]

    def subset(self, indices: Sequence[int]) -> "Labelled":
        """Some of the images, of the same classes."""
        labels = tuple(self.labels[index] for index in indices)
        return Labelled(Subset(self._images, indices), labels, self.classes)

    def counts(self) -> list[int]:
        """The number of images of each class."""
        counts = Counter(self.labels)
        return [counts[label] for label in range(len(self.classes))]


def draw(length: int, number: int, seed: int = 0) -> list[int]:
    """Which `number` of `length` images, whatever their class, in order; all where there are fewer.

    Fewer images of the same seed are among more of them, here and in `draw_by_class`.
    """
    return sorted(epoch_order(length, seed, epoch=0)[:number].tolist())


def draw_by_class(images: Labelled, seed: int, number: Callable[[int], int]) -> Labelled:
    """Of each class so many images, drawn by `seed`: `number` of how many there are."""
    by_class: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(images.labels):
        by_class[label].append(index)
    kept: list[int] = []
    for label, indices in by_class.items():
        drawn = draw(len(indices), number(len(indices)), mix(seed, label))
        kept += [indices[i] for i in drawn]
    return images.subset(sorted(kept))


def share(images: Labelled, part: float, seed: int) -> Labelled:
    """A part of the labels: of each class the same share, at least one image, drawn by `seed`.

    Raises:
        ValueError: unless 0 < part <= 1.
    """
    if not 0 < part <= 1:
        raise ValueError(f"label share {part}: more than 0 and at most 1 is needed")
    if part == 1:
        return images
    return draw_by_class(images, seed, lambda count: max(1, round(part * count)))
