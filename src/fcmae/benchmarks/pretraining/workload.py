"""One optimisation step of masked pre-training, in several modes: to be compared, and timed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fcmae.benchmarks.arithmetic import CLASSES
from fcmae.benchmarks.measuring import TOLERANCES, relative_difference
from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.layers import GRN
from fcmae.models.loss import reconstruction_loss
from fcmae.models.masks import random_mask
from fcmae.training.devices import Runtime

MODES = ("dense", "masked", "tiled", "timm")

Gradient = tuple[Tensor, Tensor]  # the loss, and the gradient of all parameters as one vector
Encode = Callable[[Tensor, Tensor], Tensor]  # images and cells to features of visible cells [M, C]


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared: one line of the benchmark."""

    model: str
    image_size: int  # pixels a side
    batch_size: int
    mask_ratio: float
    precision: str  # "fp32" or "bf16"

    def __str__(self) -> str:
        return (
            f"{self.model}, {self.image_size} px, batch {self.batch_size}, "
            f"mask {self.mask_ratio:g}, {self.precision}"
        )


CASE = tuple(Case.__dataclass_fields__)


class Workload:
    """An autoencoder with its optimiser, fixed random images, and a fresh mask when asked."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.runtime = case, Runtime(device, case.precision)
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
        return random_mask(size, self.grid, ratio, self.generator, self.runtime.device)

    def step(self, mask: Tensor, mode: str, *, update: bool = True) -> None:
        """Forward, backward and update; gradients must be None before, and are there after.

        Args:
            mask: bool [B, h, w]; of no use to timm, which trains a classifier.
            mode: one of `MODES`.
            update: whether AdamW's step is part of it.
        """
        if mode == "timm":
            if self.competitor is None:
                self.competitor = Competitor(self.case.model, self.images, self.runtime)
            self.competitor.step(update=update)
            return
        self.loss(mask, mode).backward()  # type: ignore[no-untyped-call]
        if update:
            self.optimizer.step()

    def whole_step(self, mask: Tensor, mode: str, *, update: bool = True) -> None:
        """A step of which nothing is left: gradients' memory is given back."""
        self.step(mask, mode, update=update)
        self.forget_gradients()

    def forget_gradients(self) -> None:
        """Give gradients' memory back."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.competitor is not None:
            self.competitor.optimizer.zero_grad(set_to_none=True)

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
        with self.runtime.autocast():
            loss: Tensor = model(self.images, mask, mode).loss
        return loss

    def loss_by(self, mask: Tensor, encode: Encode) -> Tensor:
        """The forward pass with another encoder in the place of ours."""
        model = self.autoencoder
        with self.runtime.autocast():
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


class Competitor:
    """Supervised training of timm's model as it comes: cross entropy, AdamW, eager.

    It is what a dense step costs in the library that most use.

    Args:
        model: a name of `fcmae.list_models()`; timm has the same ones.
        images: [B, 3, H, W].
        runtime: where to compute; the model is put there.
    """

    def __init__(self, model: str, images: Tensor, runtime: Runtime) -> None:
        import timm

        self.images, self.runtime = images, runtime
        self.model = timm.create_model(model, num_classes=CLASSES).to(runtime.device).train()
        self.labels = torch.arange(len(images), device=runtime.device) % CLASSES
        self.optimizer = _optimizer(self.model)

    def step(self, *, update: bool) -> None:
        """Forward, backward and, where wanted, the update; gradients must be None before."""
        self.loss().backward()  # type: ignore[no-untyped-call]
        if update:
            self.optimizer.step()

    def loss(self) -> Tensor:
        """The forward pass."""
        with self.runtime.autocast():
            return torch.nn.functional.cross_entropy(self.model(self.images), self.labels)


# How far two ways to run the same step are apart


def difference(ours: Gradient, theirs: Gradient) -> dict[str, float]:
    """Relative differences, by norms, of `loss` and `gradient`; infinite if one is not a number."""
    found = {}
    for name, one, other in zip(("loss", "gradient"), ours, theirs, strict=True):
        relative = relative_difference(one, other)
        found[name] = math.inf if math.isnan(relative) else relative
    return found


def verdict(found: Mapping[str, float], precision: str) -> dict[str, Any]:
    """The fields of a row about it: `difference`, and whether that is rounding in `agrees`."""
    return {"difference": dict(found), "agrees": max(found.values()) <= TOLERANCES[precision]}


def objection(row: Mapping[str, Any]) -> str | None:
    """What must be said of a row whose steps do not agree; None of one where nobody looked."""
    if row.get("agrees") is not False:
        return None
    worst, tolerance = max(row["difference"].values()), TOLERANCES[row["precision"]]
    return f"tiled and masked differ by {worst:.2g}, more than {tolerance:g}: not right"


def require_agreement(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to end well where rows, which were shown and written, are not right.

    Raises:
        RuntimeError: if tiled and masked steps of a row differ by more than rounding.
    """
    wrong = {row["model"]: said for row in rows if (said := objection(row))}
    if wrong:
        words = "; ".join(f"{model}: {said}" for model, said in wrong.items())
        raise RuntimeError(f"{words}: `fcmae doctor` says more")
