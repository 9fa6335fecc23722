"""How well models classify images that they are not trained on, during a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.images import EvaluationView, Labelled, load_in_order
from fcmae.inference.metrics import calibration_error, confusion
from fcmae.inference.outcomes import Outcomes, rows_of, together
from fcmae.training.devices import Place

MISTAKES = 24  # most confident ones that are kept
DRAWN = 1000  # classes of a confusion matrix that is written whole; `fcmae evaluate` has the others


@dataclass(frozen=True, slots=True)
class Validation:
    """What one model says of the images, in their order."""

    indices: Tensor  # int64 [N], of those that could be read
    outcomes: Outcomes  # [N]

    def measures(self, num_classes: int) -> dict[str, float | None]:
        """Mean loss, accuracy, and accuracy among five where there are more classes."""
        ranks = self.outcomes.ranks
        return {
            "loss": self.outcomes.losses.mean().item(),
            "accuracy": (ranks == 0).double().mean().item(),
            "top_5": (ranks < 5).double().mean().item() if num_classes > 5 else None,
        }

    def summary(self, images: Labelled) -> dict[str, Any]:
        """Everything that a report shows of one epoch, for JSON; class by class."""
        outcomes = self.outcomes
        right = outcomes.ranks == 0
        number = len(images.classes)
        matrix: list[list[int]] | None = None
        if number <= DRAWN:
            matrix = [[0] * number for _ in range(number)]
            pairs = confusion(outcomes.labels, outcomes.predictions)
            for (label, predicted), count in pairs.items():
                matrix[label][predicted] = count
        wrong = (~right).nonzero().squeeze(1)
        surest = outcomes.confidences[wrong].argsort(descending=True, stable=True)[:MISTAKES]
        return {
            **self.measures(number),
            "calibration_error": calibration_error(outcomes.confidences, right),
            "images": torch.bincount(outcomes.labels, minlength=number).tolist(),
            "confusion": matrix,
            "mistakes": [
                {
                    "name": images.name(int(self.indices[i])),
                    "index": int(self.indices[i]),
                    "label": images.classes[int(outcomes.labels[i])],
                    "predicted": images.classes[int(outcomes.predictions[i])],
                    "confidence": float(outcomes.confidences[i]),
                }
                for i in wrong[surest].tolist()
            ],
        }


def validate(
    models: Sequence[nn.Module],
    images: Labelled,
    *,
    size: tuple[int, int],
    channels: int,
    mean: Tensor,
    std: Tensor,
    batch_size: int,
    workers: int,
    place: Place,
) -> tuple[list[Validation], dict[str, str]]:
    """Run models over all images, each read once for all of them; processes share the work.

    Args:
        models: classifiers, [n, C, H, W] -> [n, K]; their modes are left as they were.
        images: with labels.
        size: height and width in pixels, of the evaluation's view.
        channels: of the images.
        mean: [1, C, 1, 1], on the device.
        std: [1, C, 1, 1], on the device.
        batch_size: images at a time.
        workers: processes that read ahead.
        place: device and processes.

    Returns:
        What each model says, the same in every process; and the files that could not be read, with
        the reason.

    Raises:
        ValueError: if no image can be read.
        RuntimeError: if an output is not a number.
    """
    labels = torch.tensor(images.labels)
    tables = torch.zeros(len(models), len(images), 5, dtype=torch.float64)
    unreadable: dict[str, str] = {}
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    for batch in load_in_order(
        images,
        view=EvaluationView(size),
        channels=channels,
        batch_size=batch_size,
        rank=place.rank,
        world_size=place.processes,
        workers=workers,
        pin_memory=place.device.type == "cuda",
    ):
        unreadable |= batch.unreadable
        if batch.examples is None:
            continue
        pixels = (batch.examples.image.to(place.device, non_blocking=True) - mean) / std
        for table, model in zip(tables, models, strict=True):
            with torch.no_grad(), place.autocast():
                logits = model(pixels).float().cpu()
            finite = logits.isfinite().all(1)
            if not finite.all():
                name = images.name(batch.indices[int(finite.int().argmin())])
                raise RuntimeError(
                    f"validation: the model's output for {name} is not a number. Lower the "
                    "learning rate (--set base_learning_rate=...), or use --precision fp32"
                )
            table[batch.indices] = rows_of(logits, labels[batch.indices])
    for model, mode in zip(models, modes, strict=True):
        model.train(mode)
    tables, unreadable = together(tables, unreadable, place)
    indices = tables[0, :, 0].nonzero().squeeze(1)
    if not len(indices):
        name, reason = next(iter(unreadable.items()))
        raise ValueError(f"data: no validation image can be read ({name}: {reason})")
    return [
        Validation(indices, _outcomes(table[indices], labels[indices])) for table in tables
    ], unreadable


def _outcomes(rows: Tensor, labels: Tensor) -> Outcomes:
    _, predictions, orders, confidences, losses = rows.T
    return Outcomes(labels, predictions.long(), orders.long(), confidences, losses)
