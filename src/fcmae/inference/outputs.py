"""A trained network over a whole image set: what evaluation, prediction and embedding share."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fcmae.commands.shared import parse_image_size
from fcmae.console.screen import progress_bar
from fcmae.console.units import rate
from fcmae.images import EvaluationView, ImageSet, load_in_order
from fcmae.inference.trained import Description, shape
from fcmae.models.encoder import Backbone
from fcmae.parallel.processes import num_processes
from fcmae.training.devices import Place, num_readers


@dataclass(frozen=True, slots=True)
class Reading:
    """How images are read for a network."""

    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    batch_size: int
    workers: int


class Output(NamedTuple):
    """What a network makes of a batch."""

    indices: list[int]  # the image set's numbers of those that could be read
    values: Tensor  # float32 [n, ...], on the processor
    unreadable: list[tuple[str, str]]  # name and reason


def make_reading(
    backbone: Backbone,
    description: Description,
    *,
    image_size: int | str | None,
    batch_size: int,
    workers: int | None,
    device: torch.device,
) -> Reading:
    """Check these options; without an image size the weights' own is taken.

    Raises:
        ValueError: naming the option that cannot be.
    """
    size = description.image_size if image_size is None else parse_image_size(image_size)
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
    if batch_size < 1:
        raise ValueError(f"batch_size {batch_size}: at least 1 is needed")
    if workers is not None and workers < 0:
        raise ValueError(f"workers {workers}: 0 or more is needed; 0 reads in the same process")
    workers = num_readers(device) if workers is None else workers
    channels = backbone.in_channels
    return Reading(size, channels, description.mean, description.std, batch_size, workers)


def outputs(
    network: Callable[[Tensor], Tensor],
    images: ImageSet[object],
    reading: Reading,
    place: Place,
    *,
    title: str,
) -> Iterator[Output]:
    """Run a network over images in their order; each process gets its share of the batches.

    Args:
        network: normalised images [n, C, H, W] -> [n, ...]; on the place's device.
        images: where to read.
        reading: how to read.
        place: where to compute.
        title: of the progress bar.

    Raises:
        ValueError: if an output is not a number.
    """
    mean, std = (
        torch.tensor(values, device=place.device).view(-1, 1, 1)
        for values in (reading.mean, reading.std)
    )
    batches = load_in_order(
        images,
        view=EvaluationView(reading.size),
        channels=reading.channels,
        batch_size=reading.batch_size,
        rank=place.rank,
        world_size=place.processes,
        workers=reading.workers,
        pin_memory=place.device.type == "cuda",
    )
    with progress_bar(shown=place.first) as bar:
        task = bar.add_task(title, total=len(images), figures="")
        done, began = 0, time.monotonic()
        for batch in batches:
            values = torch.empty(0)
            if batch.examples is not None:
                with torch.no_grad(), place.autocast():
                    pixels = batch.examples.image.to(place.device, non_blocking=True)
                    values = network((pixels - mean) / std).float().cpu()
            finite = values.flatten(1).isfinite().all(1) if batch.indices else values.bool()
            if not finite.all():
                name = images.name(batch.indices[int(finite.int().argmin())])
                raise ValueError(
                    f"weights: their output for {name} is not a number; try --precision fp32, or "
                    "check the weights with fcmae doctor"
                )
            yield Output(batch.indices, values, batch.unreadable)
            done += (len(batch.indices) + len(batch.unreadable)) * place.processes
            a_second = done / max(time.monotonic() - began, 1e-3)
            bar.update(task, completed=done, figures=f"{rate(a_second)} images/s")


def require_one_process(task: str) -> None:
    """Refuse torchrun where one process writes one file."""
    if num_processes() > 1:
        raise ValueError(
            f"{task} runs in one process, not {num_processes()}: start it without torchrun"
        )
