"""How an image is seen: what becomes of its pixels between the file and the batch."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fcmae.errors import unknown
from fcmae.images.augment import augment
from fcmae.images.pixels import Shrunk
from fcmae.images.transforms import (
    centre_crop,
    evaluation_crop,
    random_resized_crop,
    random_window,
    shrinkage,
)

FAST, EXACT = "fast", "exact"
DECODINGS = (FAST, EXACT)  # whether a random view may see an image that was shrunk, or only whole


def check_decoding(decoding: str) -> str:
    """Refuse what is neither fast nor exact."""
    if decoding not in DECODINGS:
        raise unknown("decoding", decoding, DECODINGS)
    return decoding


class View(Protocol):
    """A function of an image and of what is drawn for it. It is copied to the loader's workers."""

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """By how much an image of this size may be shrunk as it is decoded; 1 for not at all."""

    def __call__(self, image: Tensor, seed: int, shrunk: Shrunk | None = None) -> Tensor:
        """[C, H, W], uint8 or float32 in 0..1 -> float32 [C, height, width] in 0..1, or two."""


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

    def __call__(self, image: Tensor, seed: int, shrunk: Shrunk | None = None) -> Tensor:
        """Crop and flip as `seed` says."""
        return random_resized_crop(
            image,
            self.size,
            self.crop_scale,
            self.horizontal_flip,
            generator=_generator(seed),
            shrunk=shrunk,
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

    def __call__(self, image: Tensor, seed: int, shrunk: Shrunk | None = None) -> Tensor:
        """Crop, flip and augment as `seed` says."""
        if self.rand_augment and image.dtype != torch.uint8:
            raise ValueError(
                f"rand_augment {self.rand_augment} needs images of 8 bits, and there are others: "
                "leave it out with --set rand_augment=0,0"
            )
        return augment(
            image,
            self.size,
            crop_scale=self.crop_scale,
            horizontal_flip=self.horizontal_flip,
            rand_augment=self.rand_augment,
            fill=self.fill,
            generator=_generator(seed),
            shrunk=shrunk,
        )


@dataclass(frozen=True, slots=True)
class CentreView:
    """The largest centred crop of the right shape."""

    size: tuple[int, int]

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """Not at all: what is looked at is exact."""
        return 1

    def __call__(self, image: Tensor, seed: int, shrunk: Shrunk | None = None) -> Tensor:
        """The same whatever `seed` is."""
        assert shrunk is None
        return centre_crop(image, self.size)


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """What accuracies are measured on (authors' code)."""

    size: tuple[int, int]

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """Not at all: what is measured is exact."""
        return 1

    def __call__(self, image: Tensor, seed: int, shrunk: Shrunk | None = None) -> Tensor:
        """The same whatever `seed` is."""
        assert shrunk is None
        return evaluation_crop(image, self.size)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _shrinkage(view: RandomView | AugmentedView, height: int, width: int, seed: int) -> int:
    if view.decoding == EXACT:
        return 1
    # The window is the first that a crop draws: this is the one that will be seen.
    return shrinkage(random_window(height, width, view.crop_scale, _generator(seed)), view.size)
