"""One optimisation step of masked pre-training, run in several modes to be compared."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fcmae.benchmarks.pretraining.agreement import Gradient, difference, verdict
from fcmae.benchmarks.pretraining.competitor import Competitor
from fcmae.benchmarks.timing import seconds_of
from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.layers import GRN
from fcmae.models.loss import reconstruction_loss
from fcmae.models.masks import random_mask
from fcmae.training.devices import Place

MODES = ("dense", "masked", "tiled", "timm")

Step = Callable[[Tensor], None]  # of a mask: bool [B, h, w], True where masked
Encode = Callable[[Tensor, Tensor], Tensor]  # images and cells to features of visible cells [M, C]


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared: one line of the benchmark."""

    model: str
    image_size: int  # pixels a side
    batch_size: int
    mask_ratio: float
    precision: str  # "fp32" or "bf16"


CASE = tuple(Case.__dataclass_fields__)


class Workload:
    """An autoencoder with its optimiser, fixed random images, and a fresh mask when asked."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.place = case, Place(device, case.precision)
        self.generator = torch.Generator().manual_seed(0)
        with device:  # the largest model's weights take a processor most of a minute
            self.autoencoder = create_autoencoder(case.model)
        for module in self.autoencoder.modules():
            if isinstance(module, GRN):  # zero at first, which would hide errors in its statistic
                drawn = torch.randn(module.gamma.shape, generator=self.generator)
                module.gamma.data.copy_(0.2 * drawn)
        side = case.image_size
        self.grid = self.autoencoder.grid(side, side)
        images = torch.randn(case.batch_size, 3, side, side, generator=self.generator)
        self.images = images.to(device)
        self.optimizer = _optimizer(self.autoencoder)
        self.competitor: Competitor | None = None  # as large again: made when it is asked for

    def held(self, *, update: bool) -> int:
        """Bytes of weights and images, and of AdamW's two moments where a step updates."""
        values = sum(parameter.numel() for parameter in self.autoencoder.parameters())
        return 4 * ((3 if update else 1) * values + self.images.numel())

    def fresh_mask(self) -> Tensor:
        """Bool [B, h, w], True where masked."""
        size, ratio = self.case.batch_size, self.case.mask_ratio
        return random_mask(size, self.grid, ratio, self.generator, self.place.device)

    def step(self, mask: Tensor, mode: str, *, update: bool = True) -> None:
        """Forward, backward and update; gradients must be None before, and are there after.

        Args:
            mask: bool [B, h, w]; of no use to timm, which trains a classifier.
            mode: one of `MODES`.
            update: whether AdamW's step is part of it.
        """
        if mode == "timm":
            if self.competitor is None:
                self.competitor = Competitor(self.case.model, self.images, self.place)
            self.competitor.step(update=update)
            return
        self.loss(mask, mode).backward()  # type: ignore[no-untyped-call]
        if update:
            self.optimizer.step()

    def forget_gradients(self) -> None:
        """Give gradients' memory back."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.competitor is not None:
            self.competitor.optimizer.zero_grad(set_to_none=True)

    def twin(self) -> "Workload":
        """The same images and masks to come, with the same weights and an optimiser of its own."""
        other = copy.copy(self)
        other.autoencoder = copy.deepcopy(self.autoencoder)
        other.optimizer, other.competitor = _optimizer(other.autoencoder), None
        return other

    def agreement(self) -> dict[str, Any]:
        """Of a row: how far the tiled step is from the masked one, which defines it, and `agrees`.

        It is found out on a fresh mask; see `verdict`.
        """
        mask = self.fresh_mask()
        masked = self.gradient(mask, "masked")
        return verdict(difference(self.gradient(mask, "tiled"), masked), self.case.precision)

    def gradient(self, mask: Tensor, mode: str) -> Gradient:
        """The loss and gradient of a mode; the weights stay, and no gradients are left."""
        return gradient_of(self.loss(mask, mode), self.optimizer)

    def loss(self, mask: Tensor, mode: str) -> Tensor:
        """The forward pass of a mode but timm's."""
        model = self.autoencoder
        if mode == "dense":
            # An encoder that hides nothing and does no work for masks; the rest is the same.
            return self.loss_by(
                mask,
                lambda images, cells: model.encoder.visible(
                    images, torch.zeros_like(cells), "dense"
                )[~cells.flatten()],
            )
        with self.place.autocast():
            loss: Tensor = model(self.images, mask, mode).loss
        return loss

    def loss_by(self, mask: Tensor, encode: Encode) -> Tensor:
        """The forward pass with another encoder in the place of ours."""
        model = self.autoencoder
        with self.place.autocast():
            cells = model.encoder.cells(self.images, mask)
            decoded = model.decoder(encode(self.images, cells), cells)
            prediction = model.decoder.predict(decoded[cells])
            return reconstruction_loss(prediction, model.target(self.images, cells))


def gradient_of(loss: Tensor, optimizer: torch.optim.Optimizer) -> Gradient:
    """The loss and the gradient of all that an optimiser trains, which are forgotten again."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    (group,) = optimizer.param_groups
    gradients = torch.cat([p.grad.flatten() for p in group["params"] if p.grad is not None])
    optimizer.zero_grad(set_to_none=True)
    return loss.detach(), gradients


def _optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)


def take_turns(
    ways: Mapping[str, Step], workload: Workload, repeats: int, calls: int
) -> dict[str, list[float]]:
    """Seconds of a step of each way, round by round; a turn is `calls` steps with fresh masks."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repeats + 1):
        masks = [workload.fresh_mask() for _ in range(calls)]
        for way, step in ways.items():
            taken = seconds_of(functools.partial(all_of, step, masks), workload.place)
            if turn > 0:  # the first round warms up
                seconds[way].append(taken / calls)
    return seconds


def all_of(step: Step, masks: Sequence[Tensor]) -> None:
    """A step with each mask, one after another."""
    for mask in masks:
        step(mask)
