"""What an evaluation counts: functions of logits and labels, image by image."""

from collections import Counter

import torch
from torch import Tensor


def ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before an image's own: 0 is right at once, below k among the top k.

    Of equal logits, the class of the lower number comes first, as for `argmax`.

    Args:
        logits: [N, K].
        labels: int64 [N].

    Returns:
        int64 [N], from 0 to K - 1.
    """
    own = logits.gather(1, labels[:, None])  # [N, 1]
    lower = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    # Not "greater": where something is not a number, nothing is right.
    return (~(logits <= own) | ((logits == own) & lower)).sum(1)


def calibration_error(confidences: Tensor, correct: Tensor, bins: int = 15) -> float:
    """The expected calibration error of Guo et al., "On Calibration of Modern Neural Networks".

    Confidences are sorted into bins of equal width, (0, 1/bins], (1/bins, 2/bins], ...; the error
    is the mean over images of their bin's | mean confidence - accuracy |.

    Args:
        confidences: [N], probability of the predicted class, 0..1.
        correct: bool [N], whether that class is the image's own.
        bins: number of bins.

    Returns:
        0 to 1; 0 if in every bin as many are right as the network believes.
    """
    confidences = confidences.double().contiguous()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidences.device)
    bin_of = torch.bucketize(confidences, edges[1:-1])
    excess = edges.new_zeros(bins).index_add(0, bin_of, confidences - correct.double())
    return float(excess.abs().sum()) / len(confidences)


def class_accuracy(labels: Tensor, correct: Tensor, num_classes: int) -> list[float | None]:
    """The share of each class's images that is right; None for a class without images.

    Args:
        labels: int64 [N].
        correct: bool [N].
        num_classes: K.
    """
    images = torch.bincount(labels, minlength=num_classes).tolist()
    right = torch.bincount(labels[correct], minlength=num_classes).tolist()
    return [hits / count if count else None for hits, count in zip(right, images, strict=True)]


def confusion(labels: Tensor, predictions: Tensor) -> Counter[tuple[int, int]]:
    """How many images of each class were taken for each: {(class, predicted class): images}.

    The entries of the confusion matrix that are not zero: of many classes, most are.

    Args:
        labels: int64 [N].
        predictions: int64 [N].
    """
    return Counter(zip(labels.tolist(), predictions.tolist(), strict=True))
