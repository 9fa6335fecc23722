"""What is trained when a masked autoencoder is: the model, its masks, and what is looked at."""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.images import Batch, ImageSet, RandomView, Unlabelled, sample_seed
from fcmae.images.fixed_images import Pictures
from fcmae.models.autoencoder import Output, create_autoencoder
from fcmae.models.layers import compile_blocks
from fcmae.models.masks import patch_grid, random_mask
from fcmae.optim import adamw, parameter_groups
from fcmae.pretraining.encoders import measure, rate, save_encoder
from fcmae.pretraining.interim_probe import InterimProbe
from fcmae.pretraining.plan import Plan
from fcmae.pretraining.reconstructions import Looker, epochs_to_look
from fcmae.training.batching import Pace
from fcmae.training.devices import Place
from fcmae.training.task import Books
from fcmae.weights import LoadReport, load_weights

MASKS = 1 << 40  # sets the masks' seeds apart from the crops', whose index is that of an image


class PretrainingTask:
    """A masked autoencoder under a plan.

    Args:
        out: the run folder.
        plan: what to compute.
        images: the data.
        pictures: those to look at as the run goes on; None in processes that write nothing.
        place: device and precision.
        pace: whether blocks are recomputed in the backward pass, and whether they are compiled.
        probe: what accuracies are measured with; None where none are.
    """

    doing = "pre-training"

    def __init__(
        self,
        out: Path,
        plan: Plan,
        images: ImageSet[object],
        pictures: Pictures | None,
        place: Place,
        pace: Pace,
        *,
        probe: InterimProbe | None = None,
    ) -> None:
        self.out, self.plan, self.images, self.place = out, plan, images, place
        self.schedule, self.seed, self.in_channels = plan, plan.seed, plan.in_channels
        recipe = plan.recipe
        self.decoding = plan.decoding
        self.view = RandomView(
            plan.image_size, recipe.crop_scale, recipe.horizontal_flip, plan.decoding
        )
        torch.manual_seed(plan.seed)
        self.trained = self.kept = create_autoencoder(
            plan.model,
            in_channels=plan.in_channels,
            patch_size=plan.patch_size,
            stem_stride=plan.stem_stride,
            decoder_width=recipe.decoder_width,
            decoder_depth=recipe.decoder_depth,
            norm_pix=recipe.norm_pix,
            response=recipe.response,
        ).to(place.device)
        self.trained.encoder.checkpoint_blocks = pace.checkpoint_blocks
        if pace.compile_blocks:
            compile_blocks(self.trained)
        self.groups = parameter_groups(
            self.trained, recipe.weight_decay, exempt=recipe.decay_exempt
        )
        self.mean = torch.tensor(plan.mean, device=place.device).view(1, -1, 1, 1)
        self.std = torch.tensor(plan.std, device=place.device).view(1, -1, 1, 1)
        self.masks: tuple[int, Tensor] | None = None  # of the step being computed
        self.probe = probe
        self.looker = None
        if pictures is not None:
            self.looker = Looker(
                out,
                pictures,
                mean=plan.mean,
                std=plan.std,
                mask_ratio=plan.mask_ratio,
                patch_size=plan.patch_size,
                device=place.device,
            )

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW."""
        return adamw(self.groups, self.plan.recipe.optimizer_momentum, self.place.device)

    def load(self, path: str, key: str | None) -> LoadReport:
        """Begin with an encoder's weights; the decoder stays fresh."""
        return load_weights(self.trained, path, key=key)

    def learning_rate(self, step: int) -> float:
        """Of a step, counted from 0."""
        return rate(self.plan, step)

    def prepare(self, batch: Batch[Unlabelled]) -> tuple[Tensor, Tensor]:
        """Normalised images and their masks, on the device."""
        device = self.place.device
        images = batch.examples.image.to(device, non_blocking=True)
        mask = self.step_masks(batch.step)[batch.first : batch.first + len(images)]
        return (images - self.mean) / self.std, mask.to(device, non_blocking=True)

    def step_masks(self, step: int) -> Tensor:
        """Masks of a step's whole global batch, a function of seed and step: bool [G, h, w]."""
        if self.masks is None or self.masks[0] != step:
            grid = patch_grid(*self.plan.image_size, self.plan.patch_size)
            generator = torch.Generator().manual_seed(sample_seed(self.seed, step, MASKS))
            mask = random_mask(self.plan.batch_size, grid, self.plan.mask_ratio, generator)
            self.masks = (step, mask)
        return self.masks[1]

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        """The reconstruction loss of images under masks."""
        output: Output = module(images, other)
        return output.loss

    def example(self, number: int) -> tuple[Tensor, Tensor]:
        """Noise, and masks of the first step."""
        shape = (number, self.in_channels, *self.plan.image_size)
        images = torch.randn(shape, device=self.place.device)
        grid = patch_grid(*self.plan.image_size, self.plan.patch_size)
        generator = torch.Generator().manual_seed(self.seed)
        mask = random_mask(number, grid, self.plan.mask_ratio, generator)
        return images, mask.to(self.place.device)

    def begin(self, journal: Books) -> None:
        """Look at the untrained model."""
        self.look(journal, step=0, epoch=0)
        self.measure(journal, step=0, epoch=0)

    def after_step(self, step: int) -> None:
        """Nothing: masks and views are functions of the step."""

    def after_epoch(self, journal: Books, step: int, epoch: int) -> bool:
        """Look, ever less often, and measure accuracies."""
        looks = epoch in epochs_to_look(self.plan.epochs)
        if looks:
            self.look(journal, step, epoch)
        return self.measure(journal, step, epoch) or looks

    def look(self, journal: Books, step: int, epoch: int) -> None:
        """Reconstruct the fixed images and measure the features' diversity."""
        if self.looker is not None:
            seen = self.looker.look(self.trained, epoch)
            journal.metrics({"kind": "look", "step": step, "epoch": epoch, **seen})

    def measure(self, journal: Books, step: int, epoch: int) -> bool:
        """How well nearest neighbours of labelled images tell classes, where that is due."""
        encoder, epochs = self.trained.encoder, self.plan.epochs
        return measure(
            self.probe, encoder, self.place, journal, step=step, epoch=epoch, epochs=epochs
        )

    def stops_early(self) -> bool:
        """Never: there is nothing to measure that would say so."""
        return False

    def state(self) -> dict[str, Any]:
        """Nothing that the step does not say."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing."""

    def save_weights(self, step: int) -> None:
        """The encoder."""
        save_encoder(self.out, self.trained.encoder, self.plan, step)
