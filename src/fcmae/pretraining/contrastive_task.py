"""What is trained when views of images are compared: MoCo v3 under a plan."""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.images import Batch, TrainingSet
from fcmae.images.fixed_images import Pictures
from fcmae.images.pairs import PairView
from fcmae.inference.loop import evaluating
from fcmae.models.contrastive import create_contrast, momentum_at
from fcmae.models.layers import compile_blocks
from fcmae.optim import adamw, parameter_groups
from fcmae.pretraining.contrastive_plan import ContrastivePlan
from fcmae.pretraining.encoders import measure, rate, save_encoder
from fcmae.pretraining.interim_probe import InterimProbe
from fcmae.pretraining.reconstructions import epochs_to_look
from fcmae.probes.blocks import diversity
from fcmae.training.batching import Pace
from fcmae.training.devices import Place
from fcmae.training.task import Books
from fcmae.weights import LoadReport, load_weights


class ContrastiveTask:
    """Queries, keys and predictor under a plan.

    Args:
        out: the run folder.
        plan: what to compute.
        images: the data.
        pictures: those whose features are looked at; None in processes that write nothing.
        place: device and precision.
        pace: whether blocks are recomputed in the backward pass, and whether they are compiled.
        probe: what accuracies are measured with; None where none are.
    """

    doing = "pre-training"

    def __init__(
        self,
        out: Path,
        plan: ContrastivePlan,
        images: TrainingSet,
        pictures: Pictures | None,
        place: Place,
        pace: Pace,
        *,
        probe: InterimProbe | None = None,
    ) -> None:
        self.out, self.plan, self.images, self.place = out, plan, images, place
        self.schedule, self.seed, self.in_channels = plan, plan.seed, plan.in_channels
        self.decoding, self.probe, recipe = plan.decoding, probe, plan.recipe
        self.view = PairView(
            size=plan.image_size,
            crop_scale=recipe.crop_scale,
            horizontal_flip=recipe.horizontal_flip,
            colour_jitter=recipe.colour_jitter,
            jitter_probability=recipe.jitter_probability,
            grey=recipe.grey,
            blur=recipe.blur,
            blur_sigma=recipe.blur_sigma,
            solarise=recipe.solarise,
            decoding=plan.decoding,
        )
        torch.manual_seed(plan.seed)
        self.trained = self.kept = create_contrast(
            plan.model,
            in_channels=plan.in_channels,
            stem_stride=plan.stem_stride,
            hidden_width=recipe.hidden_width,
            projection_width=recipe.projection_width,
            temperature=recipe.temperature,
            frozen_stem=recipe.frozen_stem,
            response=recipe.response,
        ).to(place.device)
        self.encoder = self.trained.query.encoder
        self.encoder.checkpoint_blocks = pace.checkpoint_blocks
        if pace.compile_blocks:
            compile_blocks(self.trained)
        self.groups = parameter_groups(
            self.trained, recipe.weight_decay, exempt=recipe.decay_exempt
        )
        self.mean = torch.tensor(plan.mean, device=place.device).view(1, -1, 1, 1)
        self.std = torch.tensor(plan.std, device=place.device).view(1, -1, 1, 1)
        self.pictures = None if pictures is None else torch.stack(pictures.images)  # [B, C, H, W]

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW."""
        return adamw(self.groups, self.plan.recipe.optimizer_momentum, self.place.device)

    def load(self, path: str, key: str | None) -> LoadReport:
        """Begin with an encoder's weights, the keys too."""
        report = load_weights(self.encoder, path, key=key)
        self.trained.follow(0.0)
        return report

    def learning_rate(self, step: int) -> float:
        """Of a step, counted from 0."""
        return rate(self.plan, step)

    def prepare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The first and the second view of each image, normalised, on the device."""
        images = batch.images.to(self.place.device, non_blocking=True)  # [n, 2, C, H, W]
        first, second = ((view - self.mean) / self.std for view in images.unbind(1))
        return first, second

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        """The symmetric loss of two views."""
        loss: Tensor = module(images, other)
        return loss

    def example(self, number: int) -> tuple[Tensor, Tensor]:
        """Noise, twice."""
        shape = (2, number, self.in_channels, *self.plan.image_size)
        first, second = torch.randn(shape, device=self.place.device)
        return first, second

    def begin(self, journal: Books) -> None:
        """Look at the untrained encoder."""
        self.look(journal, step=0, epoch=0)
        self.measure(journal, step=0, epoch=0)

    def after_step(self, step: int) -> None:
        """Let the keys follow, by the momentum of the step that comes next."""
        base = self.plan.recipe.encoder_momentum
        self.trained.follow(momentum_at(step, base=base, steps=self.plan.steps))

    def after_epoch(self, journal: Books, step: int, epoch: int) -> bool:
        """Look, ever less often, and measure accuracies."""
        looks = epoch in epochs_to_look(self.plan.epochs)
        if looks:
            self.look(journal, step, epoch)
        return self.measure(journal, step, epoch) or looks

    def look(self, journal: Books, step: int, epoch: int) -> None:
        """Measure the features' diversity on the fixed images."""
        if self.pictures is None:
            return
        with torch.no_grad(), evaluating(self.encoder):
            images = (self.pictures.to(self.place.device) - self.mean) / self.std
            found = diversity(self.encoder, images)
        blocks = [{"block": name, "distance": distance} for name, distance in found.items()]
        journal.metrics({"kind": "look", "step": step, "epoch": epoch, "diversity": blocks})

    def measure(self, journal: Books, step: int, epoch: int) -> bool:
        """How well nearest neighbours of labelled images tell classes, where that is due."""
        epochs = self.plan.epochs
        return measure(
            self.probe, self.encoder, self.place, journal, step=step, epoch=epoch, epochs=epochs
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
        """The queries' encoder."""
        save_encoder(self.out, self.encoder, self.plan, step)
