"""What a run will cost, for `--dry-run`: measured on a few random images, then multiplied."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fcmae.console.units import duration
from fcmae.training.schedule import Schedule

IMAGES = 4  # that are tried
WHOLE = 16  # that are tried where layers work on a batch as a whole, which costs the same for few
STATE = 4  # times the weights: they, their gradients, and AdamW's two moments


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one image, and of the model."""

    seconds: float  # forward and backward
    saved: int  # bytes that the backward pass needs
    state: int  # bytes of weights, gradients and optimiser
    images: int = IMAGES  # that were tried


def measure(
    model: nn.Module,
    loss: Callable[[int], Tensor],
    device: torch.device,
    images: int = IMAGES,
) -> Cost:
    """Run a few images forward and backward, twice: the first time compiles.

    Args:
        model: on the device.
        loss: of so many images.
        device: whose clock counts.
        images: so many.
    """
    parameters = {parameter.data_ptr() for parameter in model.parameters()}
    seconds, saved = 0.0, 0
    for _ in range(2):
        sizes: dict[int, int] = {}

        def note(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            storage = tensor.untyped_storage()
            if tensor.data_ptr() not in parameters:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        began = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            value = loss(images)
        saved = sum(sizes.values())
        value.backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - began
        model.zero_grad(set_to_none=True)
    state = sum(
        parameter.numel() * parameter.element_size() * (STATE if parameter.requires_grad else 1)
        for parameter in model.parameters()
    )
    return Cost(seconds / images, saved // images, state, images)


def in_words(
    cost: Cost, schedule: Schedule, *, micro_batch_size: int, processes: int
) -> list[tuple[str, str]]:
    """Names and values, as the other details are."""
    images = schedule.steps * schedule.batch_size / processes
    batch = cost.saved * micro_batch_size
    return [
        (
            "memory",
            f"about {_gigabytes(cost.state + batch)} a device: {_gigabytes(cost.state)} for "
            f"weights, gradients and AdamW, {_gigabytes(batch)} for {micro_batch_size} images at "
            "a time",
        ),
        (
            "time",
            f"about {duration(images * cost.seconds)}, measured on {cost.images} random images; "
            "reading images is not counted",
        ),
    ]


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.2g} GB"
