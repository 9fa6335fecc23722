"""What became of every image, from all processes, and what is counted of that."""

import dataclasses
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy

from fcmae.inference.metrics import calibration_error, class_accuracy, confusion, ranks
from fcmae.training.devices import Place


@dataclasses.dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of each image, [N] each."""

    labels: Tensor  # int64, in the weights' numbers
    predictions: Tensor  # int64
    ranks: Tensor  # int64; 0 is right
    confidences: Tensor  # float64, probability of the predicted class
    losses: Tensor  # float64, nats


def rows_of(logits: Tensor, labels: Tensor) -> Tensor:
    """A row an image: read, prediction, rank of its class, confidence, loss."""
    logits = logits.double()
    confidences = logits.softmax(1).amax(1)
    losses = cross_entropy(logits, labels, reduction="none")
    read = torch.ones_like(losses)
    return torch.stack([read, logits.argmax(1), ranks(logits, labels), confidences, losses], 1)


def together(
    table: Tensor, unreadable: dict[str, str], place: Place
) -> tuple[Tensor, dict[str, str]]:
    """The tables of all processes as one.

    An image's row is zero everywhere but in the process that saw it, so that the sum is exact, and
    so is whatever is computed of it, whatever the number of processes.
    """
    if place.processes == 1:
        return table, dict(sorted(unreadable.items()))
    shared = table.to(place.device)
    dist.all_reduce(shared)
    parts: list[dict[str, str]] = [{}] * place.processes
    dist.all_gather_object(parts, unreadable)
    return shared.cpu(), dict(sorted(pair for part in parts for pair in part.items()))


def measures(outcomes: Outcomes, classes: tuple[str, ...], present: list[int]) -> dict[str, Any]:
    """All measures; by class, of those classes that are `present` in the data."""
    correct = outcomes.ranks == 0
    counts = torch.bincount(outcomes.labels, minlength=len(classes)).tolist()
    accuracies = class_accuracy(outcomes.labels, correct, len(classes))
    taken: dict[str, dict[str, int]] = {classes[number]: {} for number in present}
    for (label, prediction), number in sorted(
        confusion(outcomes.labels, outcomes.predictions).items()
    ):
        taken[classes[label]][classes[prediction]] = number
    return {
        "images": len(correct),
        "top_1": float(correct.double().mean()),
        "top_5": float((outcomes.ranks < 5).double().mean()) if len(classes) > 5 else None,
        "cross_entropy": float(outcomes.losses.mean()),
        "calibration_error": calibration_error(outcomes.confidences, correct),
        "class_images": {classes[number]: counts[number] for number in present},
        "class_accuracy": {classes[number]: accuracies[number] for number in present},
        "confusion": taken,
    }
