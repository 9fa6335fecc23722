"""What a task provides to a run: images, module, loss, validation, weights."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from fcmae.images import Batch, ImageSet, View
from fcmae.training.engine import Summed
from fcmae.training.journal import AnyJournal
from fcmae.training.plan import Plan

Follower = Callable[[int], None]  # called after each step, with its number, counted from 1


class Measured(NamedTuple):
    """What a run does after a measurement."""

    worth_reporting: bool = False  # whether the report should be written anew
    stop: bool = False  # whether what is left of the schedule is to be left out


class Task(Protocol):
    """What is trained, and on what."""

    @property
    def doing(self) -> str:
        """What the progress bar calls it."""

    @property
    def plan(self) -> Plan:
        """What decides it."""

    @property
    def images(self) -> ImageSet[Any]:
        """What it is trained on."""

    @property
    def view(self) -> View[Any, Any]:
        """How an image and its target are seen: what an example is."""

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
    def followers(self) -> Sequence[Follower]:
        """What follows the weights after each step, such as an average of them."""

    @property
    def state(self) -> dict[str, Any]:
        """What else a checkpoint holds, for JSON; a resumed run puts the stored values back."""

    def prepare(self, batch: Batch[Any]) -> tuple[Tensor, Any]:
        """Images as the module takes them, and what else its loss needs, image by image."""

    def loss(self, module: nn.Module, images: Tensor, other: Any) -> Tensor | Summed:
        """The mean loss of prepared images; or a sum, and of how many things (`engine.Summed`)."""

    def measure(self, journal: AnyJournal, step: int) -> Measured:
        """Measure the model, before the first step (0) and at the end of each period."""

    def save_weights(self, step: int) -> None:
        """Write the weights that a user takes away."""
