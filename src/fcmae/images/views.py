"""How an image is seen: what becomes of it and of its target between the file and the batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from fcmae.errors import unknown
from fcmae.images.augment import augment
from fcmae.images.pixels import Decoded
from fcmae.images.transforms import (
    evaluation_crop,
    random_resized_crop,
    random_window,
    shrinkage,
)

FAST, EXACT = "fast", "exact"
DECODINGS = (FAST, EXACT)  # whether a random view may see an image that was shrunk, or only whole

Target_contra = TypeVar("Target_contra", contravariant=True)
# A tuple with names, whose fields are tensors of one shape for all examples; or, where shapes
# differ, such as that of an image's boxes, lists of one tensor. Batches stack the ones and join the
# others.
Example_co = TypeVar("Example_co", covariant=True)


def check_decoding(decoding: str) -> str:
    """Refuse what is neither fast nor exact."""
    if decoding not in DECODINGS:
        raise unknown("decoding", decoding, DECODINGS)
    return decoding


class Unlabelled(NamedTuple):
    """An image alone."""

    image: Tensor  # float32 [C, height, width] in 0..1; of a batch [n, C, height, width]


class Classified(NamedTuple):
    """An image and its class."""

    image: Tensor  # float32 [C, height, width] in 0..1; of a batch [n, C, height, width]
    label: Tensor  # int64 [], or float32 [K] of soft labels; of a batch [n] or [n, K]


class Pair(NamedTuple):
    """Two views of an image."""

    first: Tensor  # float32 [C, height, width] in 0..1; of a batch [n, C, height, width]
    second: Tensor


class View(Protocol[Target_contra, Example_co]):
    """A function of an image, its target and what is drawn for them: an example.

    It is copied to the loader's workers. What moves the image's pixels moves the target's alike.
    """

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """By how much an image of this size may be shrunk as it is decoded; 1 for not at all."""

    def __call__(self, image: Decoded, target: Target_contra, seed: int) -> Example_co:
        """See an image; the same `seed` was asked for its shrinkage."""


@dataclass(frozen=True, slots=True)
class RandomView:
    """A random crop, perhaps flipped: pre-training (Table 1)."""

    size: tuple[int, int]
    crop_scale: tuple[float, float] = (0.2, 1.0)
    horizontal_flip: float = 0.5
    decoding: str = EXACT

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """As much as the crop that `seed` draws allows, unless decoding is exact."""
        return _shrinkage(self, height, width, seed)

    def __call__(self, image: Decoded, target: object, seed: int) -> Unlabelled:
        """Crop and flip as `seed` says."""
        generator = _generator(seed)
        return Unlabelled(
            random_resized_crop(
                image, self.size, self.crop_scale, self.horizontal_flip, generator=generator
            )
        )


@dataclass(frozen=True, slots=True)
class AugmentedView:
    """A random crop, perhaps flipped, then RandAugment: fine-tuning (Tables 2-6)."""

    size: tuple[int, int]
    crop_scale: tuple[float, float]
    horizontal_flip: float
    rand_augment: tuple[str, int, float] | None
    fill: tuple[float, ...]  # the colour beyond the edges
    decoding: str = EXACT

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """As much as the crop that `seed` draws allows, unless decoding is exact."""
        return _shrinkage(self, height, width, seed)

    def __call__(self, image: Decoded, target: int | Tensor, seed: int) -> Classified:
        """Crop, flip and augment as `seed` says; a class, or soft labels, stay as they are."""
        augmented = augment(
            image,
            self.size,
            crop_scale=self.crop_scale,
            horizontal_flip=self.horizontal_flip,
            rand_augment=self.rand_augment,
            fill=self.fill,
            generator=_generator(seed),
        )
        return Classified(augmented, torch.as_tensor(target))


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """What accuracies are measured on (authors' code), or another crop of whole images."""

    size: tuple[int, int]
    crop: Callable[[Tensor, tuple[int, int]], Tensor] = evaluation_crop

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """Not at all: what is measured is exact."""
        return 1

    def __call__(self, image: Decoded, target: object, seed: int) -> Unlabelled:
        """The same whatever `seed` is."""
        assert image.shrunk is None
        return Unlabelled(self.crop(image.pixels, self.size))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _shrinkage(view: RandomView | AugmentedView, height: int, width: int, seed: int) -> int:
    if view.decoding == EXACT:
        return 1
    # The window is the first that a crop draws: this is the one that will be seen.
    return shrinkage(random_window(height, width, view.crop_scale, _generator(seed)), view.size)
