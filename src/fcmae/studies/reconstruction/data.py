"""The images of the study: the same for all settings."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fcmae.images import Labelled, channel_statistics, open_splits, share
from fcmae.images.fixed_images import choose
from fcmae.studies.reconstruction.model import CHANNELS
from fcmae.studies.reconstruction.recipe import Recipe

CLASSES = 6  # at least: of five, each is among the first five
DRAW = 0  # decides which images a part has; not the settings' seeds, whose spread is of training


@dataclass(frozen=True, slots=True)
class Data:
    """What is trained and measured on.

    Attributes:
        train: the images to train on, which are the bank of nearest neighbours too.
        val: what is measured on.
        pictures: images of `val` to look at, float32 [N, 3, H, W] in 0..1.
        mean: of each channel of `train`, in units of 0..1.
        std: likewise.
        workers: processes that read ahead.
    """

    train: Labelled
    val: Labelled
    pictures: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    workers: int

    def standardised(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..1, as the model takes them."""
        mean, std = self._statistics(images)
        return (images - mean) / std

    def coloured(self, images: Tensor) -> Tensor:
        """The inverse of `standardised`."""
        mean, std = self._statistics(images)
        return images.float() * std + mean

    def _statistics(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation, [3, 1, 1] each, where the images are."""
        mean, std = (torch.tensor(row, device=images.device) for row in (self.mean, self.std))
        return mean.view(-1, 1, 1), std.view(-1, 1, 1)


def open_data(folder: Path, recipe: Recipe, workers: int) -> Data:
    """Open DIR/train/CLASS and DIR/val/CLASS, as many of them as the recipe wants.

    Raises:
        ValueError: if there are fewer than six classes, fewer images than neighbours or than a
            batch takes, or none can be read.
    """
    train, val = open_splits(folder)
    if len(train.classes) < CLASSES:
        raise ValueError(
            f"data {folder} has {len(train.classes)} classes: the error counts classes that are "
            f"not among the first five, so give {CLASSES} or more"
        )
    train = part(train, recipe.num_images)
    for needed, use in (
        (recipe.neighbours, "neighbours that vote"),
        (recipe.batch_size, "images of a step: lower batch_size"),
    ):
        if len(train) < needed:
            raise ValueError(
                f"data {folder}: {len(train)} images of train are used, fewer than the {needed} "
                f"{use}, or give more images"
            )
    val = part(val, recipe.num_val_images)
    size = (recipe.image_size, recipe.image_size)
    pictures = torch.stack(choose(val, CHANNELS, size).images)
    mean, std = channel_statistics(train, CHANNELS)
    return Data(train, val, pictures, mean, std, workers)


def part(images: Labelled, number: int | None) -> Labelled:
    """About `number` images, the same share of each class, at least one; None for all."""
    if number is None or number >= len(images):
        return images
    return share(images, number / len(images), DRAW)
