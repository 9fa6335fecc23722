"""How well models classify images that they are not trained on, during a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fcmae.images import Labelled
from fcmae.inference.classification import Predictions, classify, confusion
from fcmae.inference.loop import NonFiniteOutput, Preprocessing, evaluating
from fcmae.training.devices import Runtime
from fcmae.training.validation import Metrics

MISTAKES = 24  # most confident ones that are kept
DRAWN = 1000  # classes of a confusion matrix that is written whole; `fcmae evaluate` has the others


@dataclass(frozen=True, slots=True)
class Validation:
    """The predictions of one model."""

    images: Labelled
    predictions: Predictions

    @property
    def metrics(self) -> Metrics:
        """Mean loss, accuracy, and accuracy among five where there are more classes."""
        values = {
            "loss": self.predictions.cross_entropy,
            "accuracy": self.predictions.top_1,
            "top_5": self.predictions.top_5(len(self.images.classes)),
        }
        return Metrics(values, deciding="accuracy")

    def summary(self) -> dict[str, Any]:
        """Everything that a report shows of one epoch, for JSON; class by class."""
        found, images = self.predictions, self.images
        number = len(images.classes)
        matrix: list[list[int]] | None = None
        if number <= DRAWN:
            matrix = [[0] * number for _ in range(number)]
            for (label, predicted), count in confusion(found.labels, found.predicted).items():
                matrix[label][predicted] = count
        wrong = (~found.correct).nonzero().squeeze(1)
        surest = found.confidences[wrong].argsort(descending=True, stable=True)[:MISTAKES]
        return {
            **self.metrics.values,
            "calibration_error": found.calibration_error,
            "images": torch.bincount(found.labels, minlength=number).tolist(),
            "confusion": matrix,
            "mistakes": [
                {
                    "name": images.name(int(found.indices[i])),
                    "index": int(found.indices[i]),
                    "label": images.classes[int(found.labels[i])],
                    "predicted": images.classes[int(found.predicted[i])],
                    "confidence": float(found.confidences[i]),
                }
                for i in wrong[surest].tolist()
            ],
        }


def validate(
    models: Sequence[nn.Module], images: Labelled, preprocessing: Preprocessing, runtime: Runtime
) -> tuple[list[Validation], dict[str, str]]:
    """Run classifiers over all images, each read once for all of them; processes share the work.

    Args:
        models: classifiers; their modes are left as they were.
        images: with labels.
        preprocessing: of the images.
        runtime: device and processes.

    Returns:
        The predictions of each model, the same in every process; and the files that could not be
        read, with the reason.

    Raises:
        ValueError: if no image can be read.
        RuntimeError: if an output is not a number.
    """
    labels = torch.tensor(images.labels)
    try:
        with evaluating(*models):
            predictions, unreadable = classify(models, images, labels, preprocessing, runtime)
    except NonFiniteOutput as error:
        raise RuntimeError(
            f"validation: the model's output for {error.name} is not a number. Lower the learning "
            "rate (--set base_learning_rate=...), or use --precision fp32"
        ) from error
    return [Validation(images, found) for found in predictions], unreadable
