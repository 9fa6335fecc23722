"""What a run must be told about what it trains."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fcmae.images import Batch, ImageSet, View
from fcmae.training.journal import Journal, Silence
from fcmae.training.schedule import Schedule

Books = Journal | Silence  # the latter in processes that write nothing


class Task(Protocol):
    """What is trained, and on what."""

    @property
    def doing(self) -> str:
        """What the progress bar calls it."""

    @property
    def schedule(self) -> Schedule:
        """How many steps, and how many an epoch."""

    @property
    def images(self) -> ImageSet[Any]:
        """What it is trained on."""

    @property
    def view(self) -> View[Any, Any]:
        """How an image and its target are seen: what an example is."""

    @property
    def decoding(self) -> str:
        """Whether the view may see images that were shrunk, "fast", or not, "exact"."""

    @property
    def in_channels(self) -> int:
        """Channels of the images."""

    @property
    def seed(self) -> int:
        """Decides the order of images and what is drawn for each."""

    @property
    def trained(self) -> nn.Module:
        """The module whose gradients are taken, and shared between processes."""

    @property
    def kept(self) -> nn.Module:
        """The module that a checkpoint holds; `trained` is it or a part of it."""

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameters of `trained`, as `parameter_groups` gives them."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Of these groups; made when it is first asked for."""

    def learning_rate(self, step: int) -> float:
        """Of a step, counted from 0."""

    def prepare(self, batch: Batch[Any]) -> tuple[Tensor, Tensor]:
        """Images as the module takes them, and what else its loss needs, image by image."""

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        """The mean loss of prepared images."""

    def example(self, number: int) -> tuple[Tensor, Tensor]:
        """Random images, and what else their loss needs, as `prepare` gives them."""

    def begin(self, journal: Books) -> None:
        """Before the first step."""

    def after_step(self, step: int) -> None:
        """After each step, counted from 1."""

    def after_epoch(self, journal: Books, step: int, epoch: int) -> bool:
        """After each epoch, counted from 1; whether the report should be written anew."""

    def stops_early(self) -> bool:
        """Whether what is left of the schedule is to be left out; asked after each epoch."""

    def state(self) -> dict[str, Any]:
        """What else a resumed run needs, for JSON."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""

    def save_weights(self, step: int) -> None:
        """Write the weights that a user takes away."""
