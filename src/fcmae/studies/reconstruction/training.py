"""One setting of the study: an encoder, a mask size and a seed, trained from fresh weights."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fcmae.images import Batch, Order, RandomView, Unlabelled, Unreadables, load, sample_seed
from fcmae.models.masks import patch_grid, random_mask
from fcmae.optim import adamw, learning_rate, parameter_groups, scaled_learning_rate
from fcmae.studies.reconstruction.data import Data
from fcmae.studies.reconstruction.model import CHANNELS, Toy, squared_errors
from fcmae.studies.reconstruction.recipe import ENCODERS, Recipe
from fcmae.training.devices import Place
from fcmae.training.engine import Step, optimise

MASKS = 1 << 40  # sets the masks' seeds apart from the views', whose index is that of an image
WHOLE = (1.0, 1.0)  # of the image's area: nothing is cropped, nothing resampled


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs from one training to the next."""

    encoder: str
    mask_size: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.encoder}-{self.mask_size}-{self.seed}"

    def __str__(self) -> str:
        return f"{self.encoder}, mask size {self.mask_size}, seed {self.seed}"


def num_steps(images: int, recipe: Recipe) -> int:
    """Steps of a setting."""
    return recipe.epochs * (images // recipe.batch_size)


def train(
    setting: Setting,
    recipe: Recipe,
    data: Data,
    place: Place,
    *,
    interrupted: Callable[[], bool],
    after_step: Callable[[Step], object],
) -> Toy | None:
    """Train a setting from its first step to its last; None when interrupted.

    Raises:
        NonFiniteError: when the loss stops being a number.
        TooManyUnreadable: if more than 5 % of the files are.
    """
    architecture = ENCODERS[setting.encoder]
    torch.manual_seed(setting.seed)
    model = Toy(architecture, stride=recipe.stem_stride, image_size=recipe.image_size)
    model.to(place.device)
    groups = parameter_groups(model, recipe.weight_decay)
    optimizer = adamw(groups, recipe.optimizer_momentum, place.device)
    order = Order(len(data.train), recipe.batch_size, setting.seed)
    steps = num_steps(len(data.train), recipe)
    warmup = round(recipe.warmup_epochs * order.steps_per_epoch)
    base = recipe.base_learning_rates[setting.encoder]
    peak = scaled_learning_rate(base, recipe.batch_size)
    grid = patch_grid(recipe.image_size, recipe.image_size, setting.mask_size)
    unreadables = Unreadables(len(data.train))

    def loss_of(batch: Batch[Unlabelled]) -> Tensor:
        unreadables.add(batch.unreadable)
        generator = torch.Generator().manual_seed(sample_seed(setting.seed, batch.step, MASKS))
        mask = random_mask(len(batch.indices), grid, recipe.mask_ratio, generator, place.device)
        images = data.standardised(batch.examples.image.to(place.device, non_blocking=True))
        with place.autocast():
            return squared_errors(model(images, mask), images, mask).mean()

    batches = load(
        data.train,
        order,
        view=RandomView((recipe.image_size, recipe.image_size), WHOLE),
        channels=CHANNELS,
        seed=setting.seed,
        start_step=0,
        stop_step=steps,
        micro_batch_size=recipe.batch_size,
        workers=data.workers,
        pin_memory=place.device.type == "cuda",
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
        place=place,
        interrupted=interrupted,
    ):
        finished = step.number
        after_step(step)
    return model if finished == steps else None
