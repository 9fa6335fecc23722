"""How an image is seen: what becomes of its pixels between the file and the batch."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fcmae.images.transforms import centre_crop, evaluation_crop, random_resized_crop


class View(Protocol):
    """A function of an image and of what is drawn for it. It is copied to the loader's workers."""

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """[C, H, W], uint8 or float32 in 0..1 -> float32 [C, height, width] in 0..1."""


@dataclass(frozen=True, slots=True)
class RandomView:
    """A random crop, perhaps flipped: pre-training (Table 1)."""

    size: tuple[int, int]
    crop_scale: tuple[float, float] = (0.2, 1.0)
    horizontal_flip: float = 0.5

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """Crop and flip as `seed` says."""
        generator = torch.Generator().manual_seed(seed)
        return random_resized_crop(
            image, self.size, self.crop_scale, self.horizontal_flip, generator=generator
        )


@dataclass(frozen=True, slots=True)
class CentreView:
    """The largest centred crop of the right shape."""

    size: tuple[int, int]

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """The same whatever `seed` is."""
        return centre_crop(image, self.size)


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """What accuracies are measured on (authors' code)."""

    size: tuple[int, int]

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """The same whatever `seed` is."""
        return evaluation_crop(image, self.size)
