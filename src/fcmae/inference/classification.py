"""Classifiers over a set of labelled images: what they predict, and the measures of that."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fcmae.images import ImageSet
from fcmae.inference.loop import Preprocessing, forward_in_order, require_some
from fcmae.parallel.processes import add_up, gather
from fcmae.training.devices import Runtime


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a classifier makes of the images that could be read, in their order, [N] each."""

    indices: Tensor  # int64, the image set's numbers
    labels: Tensor  # int64, the images' own classes
    predicted: Tensor  # int64, the classes of the largest logits
    ranks: Tensor  # int64, how many classes come before an image's own; 0 is right
    confidences: Tensor  # float64, probability of the predicted class
    losses: Tensor  # float64, cross-entropy in nats

    @property
    def correct(self) -> Tensor:
        """Whether the image's class has the largest logit, bool [N]."""
        return self.ranks == 0

    @property
    def top_1(self) -> float:
        """The share of images whose class has the largest logit."""
        return self.correct.double().mean().item()

    def top_5(self, num_classes: int) -> float | None:
        """The share of those whose class is among the five largest; None up to five classes."""
        return (self.ranks < 5).double().mean().item() if num_classes > 5 else None

    @property
    def cross_entropy(self) -> float:
        """The mean loss."""
        return self.losses.mean().item()

    @property
    def calibration_error(self) -> float:
        """As of `calibration_error`, in 15 bins."""
        return calibration_error(self.confidences, self.correct)


def classify(
    classifiers: Sequence[nn.Module],
    images: ImageSet[object],
    labels: Tensor,
    preprocessing: Preprocessing,
    runtime: Runtime,
    *,
    title: str | None = None,
) -> tuple[list[Predictions], dict[str, str]]:
    """Run classifiers over all images, each read once for all of them; processes share the work.

    Args:
        classifiers: in evaluation mode, normalised images [n, C, H, W] -> logits [n, K].
        images: what to classify.
        labels: the class of each image, in the classifiers' numbers, int64 [N].
        preprocessing: of the images.
        runtime: device and processes.
        title: of the progress bar; None for none.

    Returns:
        The predictions of each classifier, the same in every process; and the files that could not
        be read, with the reason.

    Raises:
        NonFiniteOutput: if a logit is not a number.
        ValueError: if no image can be read.
    """
    table = torch.zeros(len(classifiers), len(images), 5, dtype=torch.float64)
    unreadable: dict[str, str] = {}

    def forward(pixels: Tensor) -> list[Tensor]:
        return [classifier(pixels) for classifier in classifiers]

    for output in forward_in_order(forward, images, preprocessing, runtime, title=title):
        unreadable |= output.unreadable
        if output.indices:
            for rows, logits in zip(table, output.tensors, strict=True):
                rows[output.indices] = _rows(logits, labels[output.indices])
    if runtime.processes > 1:
        # An image's row is zero everywhere but in the process that saw it, so that the sum is
        # exact, and so is whatever is computed of it, whatever the number of processes.
        table = add_up(table.to(runtime.device)).cpu()
    unreadable = dict(sorted(pair for part in gather(unreadable) for pair in part.items()))
    indices = table[0, :, 0].nonzero().squeeze(1)
    require_some(len(indices), images, unreadable, preprocessing.channels)
    predictions = []
    for rows in table[:, indices]:
        _, predicted, order, confidences, losses = rows.unbind(1)
        found = Predictions(
            indices, labels[indices], predicted.long(), order.long(), confidences, losses
        )
        predictions.append(found)
    return predictions, unreadable


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


def _rows(logits: Tensor, labels: Tensor) -> Tensor:
    """A row an image: that it was read, prediction, rank of its class, confidence, loss."""
    logits = logits.double()
    confidences = logits.softmax(1).amax(1)
    losses = cross_entropy(logits, labels, reduction="none")
    read = torch.ones_like(losses)
    return torch.stack([read, logits.argmax(1), ranks(logits, labels), confidences, losses], 1)
