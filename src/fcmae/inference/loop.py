"""The one evaluation loop: trained networks over all images of a set, in their order.

Every command and every probe that looks at whole image sets runs through it. Files that cannot be
read are left out and named; it is an error if none can be read. Probes, whose numbers are compared
with each other, also stop once more than 5 % of the files cannot be read (`images.Unreadables`).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fcmae.commands.shared import Reading, parse_image_size
from fcmae.console.screen import progress_bar, say
from fcmae.console.units import rate
from fcmae.images import EvaluationView, ImageSet, View, load_in_order
from fcmae.inference.load import Description, shape
from fcmae.models.encoder import Backbone
from fcmae.parallel.processes import is_first, num_processes
from fcmae.training.devices import Runtime, num_readers

SHOWN = 20  # unreadable files on the screen


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is made of images before a network sees them, and how many at a time."""

    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    batch_size: int
    workers: int


class Outputs(NamedTuple):
    """What is computed of a batch."""

    indices: list[int]  # the image set's numbers of those that could be read
    tensors: list[Tensor]  # float32 [n, ...], on the processor; none where no image could be read
    unreadable: list[tuple[str, str]]  # name and reason


class NonFiniteOutput(ValueError):
    """An output is not a number.

    Attributes:
        name: of the image.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"weights: their output for {self.name} is not a number; try --precision fp32, or "
            "check the weights with fcmae doctor"
        )


def choose_preprocessing(
    options: Reading, backbone: Backbone, description: Description, device: torch.device
) -> Preprocessing:
    """Check these options, and say what is assumed of the weights.

    Without an image size the weights' own is taken.

    Raises:
        ValueError: naming the option that cannot be.
    """
    given, workers = options.image_size, options.workers
    size = description.image_size if given is None else parse_image_size(given)
    if min(size) < backbone.stride:
        raise ValueError(
            f"image_size {shape(size)}: both sides must be at least {backbone.stride} pixels, the "
            "total stride of these weights"
        )
    if not description.mean:
        raise ValueError(
            f"weights {description.weights} do not say the mean and deviation of their "
            f"{backbone.in_channels} channels: give the run's folder, not the file alone"
        )
    if options.batch_size < 1:
        raise ValueError(f"batch_size {options.batch_size}: at least 1 is needed")
    if workers is not None and workers < 0:
        raise ValueError(f"workers {workers}: 0 or more is needed; 0 reads in the same process")
    assumed = description.assumption(size_given=given is not None)
    if assumed and is_first():
        say(assumed)
    return Preprocessing(
        size,
        backbone.in_channels,
        description.mean,
        description.std,
        options.batch_size,
        num_readers(device) if workers is None else workers,
    )


def forward_in_order(
    forward: Callable[[Tensor], Tensor | Sequence[Tensor]],
    images: ImageSet[Any],
    preprocessing: Preprocessing,
    runtime: Runtime,
    *,
    view: View[Any, Any] | None = None,
    title: str | None = None,
) -> Iterator[Outputs]:
    """Run networks over images, batch by batch; each process gets its share of the batches.

    What comes of a batch is all that is kept, so that maps may be large and images many: a caller
    reduces them as they come. Networks are to be in evaluation mode (`evaluating`).

    Args:
        forward: normalised images [n, C, H, W], on the runtime's device, to a tensor [n, ...] or
            several: one of each network, or of each block of a network.
        images: where to read.
        preprocessing: of the images.
        runtime: where to compute, in which precision, and the processes that share the work.
        view: of the images; None for that which accuracies are measured on.
        title: of the progress bar; None for none.

    Raises:
        NonFiniteOutput: if an output is not a number.
    """
    mean, std = (
        torch.tensor(values, device=runtime.device).view(-1, 1, 1)
        for values in (preprocessing.mean, preprocessing.std)
    )
    batches = load_in_order(
        images,
        view=EvaluationView(preprocessing.size) if view is None else view,
        channels=preprocessing.channels,
        batch_size=preprocessing.batch_size,
        rank=runtime.rank,
        world_size=runtime.processes,
        workers=preprocessing.workers,
        pin_memory=runtime.device.type == "cuda",
    )
    with progress_bar(shown=runtime.first and title is not None) as bar:
        task = bar.add_task(title or "", total=len(images), figures="")
        done, began = 0, time.monotonic()
        for batch in batches:
            tensors: list[Tensor] = []
            if batch.examples is not None:
                with torch.no_grad(), runtime.autocast():
                    pixels = batch.examples.image.to(runtime.device, non_blocking=True)
                    found = forward((pixels - mean) / std)
                    found = [found] if isinstance(found, Tensor) else found
                    tensors = [tensor.float().cpu() for tensor in found]
            for tensor in tensors:
                finite = tensor.reshape(len(tensor), -1).isfinite().all(1)
                if not finite.all():
                    raise NonFiniteOutput(images.name(batch.indices[int(finite.int().argmin())]))
            yield Outputs(batch.indices, tensors, batch.unreadable)
            done += (len(batch.indices) + len(batch.unreadable)) * runtime.processes
            a_second = done / max(time.monotonic() - began, 1e-3)
            bar.update(task, completed=done, figures=f"{rate(a_second)} images/s")


def require_some(
    read: int, images: ImageSet[object], unreadable: Mapping[str, str], channels: int
) -> None:
    """Refuse a set of which no image could be read, by any process.

    Args:
        read: number of images that could be.
        images: the set.
        unreadable: reasons, by name of the file.
        channels: that are needed.
    """
    if not read:
        name, reason = next(iter(unreadable.items()))
        raise ValueError(
            f"data: none of the {len(images)} images can be read ({name}: {reason}): give images "
            f"of {channels} channels"
        )


def say_unreadable(unreadable: Mapping[str, str]) -> None:
    """Name the files that could not be read, the first twenty of them."""
    if unreadable:
        say(f"{len(unreadable)} files could not be read and are left out:")
    for name, reason in list(unreadable.items())[:SHOWN]:
        say(f"  {name}: {reason}")
    if len(unreadable) > SHOWN:
        say(f"  and {len(unreadable) - SHOWN} more")


def pooled(backbone: Backbone, images: Tensor) -> Tensor:
    """Features: the last stage, averaged over the map, [B, C, H, W] -> [B, C_4].

    There is no LayerNorm behind it: it is no part of what pre-training trains (authors' code).
    """
    return backbone.features(images)[-1].float().mean((2, 3))


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Evaluation mode meanwhile; each part's own mode afterwards."""
    modes = [(part, part.training) for network in networks for part in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def require_one_process(task: str) -> None:
    """Refuse torchrun where one process writes one file."""
    if num_processes() > 1:
        raise ValueError(
            f"{task} runs in one process, not {num_processes()}: start it without torchrun"
        )
