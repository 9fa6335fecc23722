"""One optimisation step of masked pre-training, run in several modes to be compared."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fcmae.autoencoder import create_autoencoder
from fcmae.benchmarks.pretraining.competitor import Competitor
from fcmae.devices import Place
from fcmae.layers import GRN
from fcmae.loss import reconstruction_loss
from fcmae.masks import random_mask

MODES = ("dense", "masked", "tiled", "timm")

# Relative difference of loss and gradient between modes: rounding, with a margin of ten.
TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2}


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
        self.autoencoder = create_autoencoder(case.model)
        for module in self.autoencoder.modules():
            if isinstance(module, GRN):  # zero at first, which would hide errors in its statistic
                torch.nn.init.normal_(module.gamma, std=0.2, generator=self.generator)
        self.autoencoder.to(device)
        side = case.image_size
        self.grid = self.autoencoder.grid(side, side)
        images = torch.randn(case.batch_size, 3, side, side, generator=self.generator)
        self.images = images.to(device)
        self.optimizer = torch.optim.AdamW(self.autoencoder.parameters(), lr=1e-5, fused=True)
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
        self._loss(mask, mode).backward()  # type: ignore[no-untyped-call]
        if update:
            self.optimizer.step()

    def forget_gradients(self) -> None:
        """Give gradients' memory back."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.competitor is not None:
            self.competitor.optimizer.zero_grad(set_to_none=True)

    def require_agreement(self) -> None:
        """Refuse to go on unless tiled and masked give the same loss and gradient.

        Raises:
            RuntimeError: if they differ by more than rounding in this precision.
        """
        mask = self.fresh_mask()
        loss, gradient = self._gradient(mask, "masked")
        tiled_loss, tiled_gradient = self._gradient(mask, "tiled")
        self.forget_gradients()
        tolerance = TOLERANCES[self.case.precision]
        for what, difference, scale in (
            ("loss", tiled_loss - loss, loss),
            ("gradient", tiled_gradient - gradient, gradient),
        ):
            relative = (difference.norm() / scale.norm()).item()
            if not relative <= tolerance:  # NaN too
                raise RuntimeError(
                    f"{self.case.model}: tiled and masked {what}s differ by {relative:.1e}, "
                    f"more than {tolerance:.0e} in {self.case.precision}; not timed, as it is "
                    "not right: `fcmae doctor` says more"
                )

    def _gradient(self, mask: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        """The loss, and the gradient of all parameters as one vector."""
        self.forget_gradients()
        loss = self._loss(mask, mode)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad.flatten() for p in self.autoencoder.parameters() if p.grad is not None]
        return loss.detach(), torch.cat(gradients)

    def _loss(self, mask: Tensor, mode: str) -> Tensor:
        model = self.autoencoder
        with self.place.autocast():
            if mode != "dense":
                loss: Tensor = model(self.images, mask, mode).loss
                return loss
            # An encoder that hides nothing and does no work for masks; the rest is the same.
            cells = model.encoder.cells(self.images, mask)
            every = model.encoder.visible(self.images, torch.zeros_like(cells), "dense")
            decoded = model.decoder(every[~cells.flatten()], cells)
            prediction = model.decoder.predict(decoded[cells])
            return reconstruction_loss(prediction, model.target(self.images, cells))
