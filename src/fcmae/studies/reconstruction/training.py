"""One setting: an encoder, a mask size and a seed, trained from fresh weights on images of all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fcmae.images import (
    Batch,
    Labelled,
    Order,
    RandomView,
    Unlabelled,
    Unreadables,
    channel_statistics,
    load,
    open_splits,
    sample_seed,
    share,
)
from fcmae.images.fixed_images import choose
from fcmae.models.masks import patch_grid, random_mask
from fcmae.optim import adamw, learning_rate, parameter_groups, scaled_learning_rate
from fcmae.studies.reconstruction import ENCODERS, Recipe, Setting
from fcmae.studies.reconstruction.model import CHANNELS, Toy, squared_errors
from fcmae.training.devices import Runtime
from fcmae.training.engine import Step, optimise

CLASSES = 6  # at least: of five, each is among the first five
DRAW = 0  # decides which images a part has; not the settings' seeds, whose spread is of training
MASKS = 1 << 40  # sets the masks' seeds apart from the views', whose index is that of an image
WHOLE = (1.0, 1.0)  # of the image's area: nothing is cropped, nothing resampled


@dataclass(frozen=True, slots=True)
class Data:
    """What all settings are trained and measured on.

    Attributes:
        recipe: that they were opened for.
        train: the images to train on, which are the bank of nearest neighbours too.
        val: what is measured on.
        pictures: images of `val` to look at, float32 [N, 3, H, W] in 0..1.
        mean: of each channel of `train`, in units of 0..1: [3, 1, 1].
        std: likewise.
        workers: processes that read ahead.
    """

    recipe: Recipe
    train: Labelled
    val: Labelled
    pictures: Tensor
    mean: Tensor
    std: Tensor
    workers: int

    def standardised(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..1, as the model takes them."""
        return (images - self.mean.to(images.device)) / self.std.to(images.device)

    def coloured(self, images: Tensor) -> Tensor:
        """The inverse of `standardised`."""
        return images.float() * self.std.to(images.device) + self.mean.to(images.device)

    @property
    def num_steps(self) -> int:
        """Steps of a setting."""
        return self.recipe.epochs * (len(self.train) // self.recipe.batch_size)


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
    statistics = channel_statistics(train, CHANNELS)
    mean, std = (torch.tensor(row).view(-1, 1, 1) for row in statistics)
    return Data(recipe, train, val, pictures, mean, std, workers)


def part(images: Labelled, number: int | None) -> Labelled:
    """About `number` images, the same share of each class, at least one; None for all."""
    if number is None or number >= len(images):
        return images
    return share(images, number / len(images), DRAW)


def train(
    setting: Setting,
    data: Data,
    runtime: Runtime,
    *,
    interrupted: Callable[[], bool],
    after_step: Callable[[Step], object],
) -> Toy | None:
    """Train a setting from its first step to its last; None when interrupted.

    Raises:
        NonFiniteError: when the loss stops being a number.
        TooManyUnreadable: if more than 5 % of the files are.
    """
    recipe, side = data.recipe, data.recipe.image_size
    torch.manual_seed(setting.seed)
    model = Toy(ENCODERS[setting.encoder], stride=recipe.stem_stride, image_size=side)
    model.to(runtime.device)
    groups = parameter_groups(model, recipe.weight_decay)
    optimizer = adamw(groups, recipe.optimizer_momentum, runtime.device)
    order = Order(len(data.train), recipe.batch_size, setting.seed)
    steps, warmup = data.num_steps, round(recipe.warmup_epochs * order.steps_per_epoch)
    base = recipe.base_learning_rates[setting.encoder]
    peak = scaled_learning_rate(base, recipe.batch_size)
    grid = patch_grid(side, side, setting.mask_size)
    unreadables = Unreadables(len(data.train))

    def loss_of(batch: Batch[Unlabelled]) -> Tensor:
        unreadables.add(batch.unreadable)
        generator = torch.Generator().manual_seed(sample_seed(setting.seed, batch.step, MASKS))
        mask = random_mask(len(batch.indices), grid, recipe.mask_ratio, generator, runtime.device)
        images = data.standardised(batch.examples.image.to(runtime.device, non_blocking=True))
        with runtime.autocast():
            return squared_errors(model(images, mask), images, mask).mean()

    batches = load(
        data.train,
        order,
        view=RandomView((side, side), WHOLE),
        channels=CHANNELS,
        seed=setting.seed,
        start_step=0,
        stop_step=steps,
        micro_batch_size=recipe.batch_size,
        workers=data.workers,
        pin_memory=runtime.device.type == "cuda",
    )
    finished = 0
    for step in optimise(
        model,
        optimizer,
        batches,
        loss_of,
        local_batch_size=recipe.batch_size,
        learning_rate=lambda step: learning_rate(step, peak=peak, steps=steps, warmup_steps=warmup),
        start=0,
        stop=steps,
        runtime=runtime,
        interrupted=interrupted,
    ):
        finished = step.number
        after_step(step)
    return model if finished == steps else None
