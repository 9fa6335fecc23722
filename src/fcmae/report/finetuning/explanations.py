"""One plain sentence or two under each heading of a fine-tuning run's report."""

import math

import numpy as np

from fcmae.console import units
from fcmae.report.finetuning.words import num_classes
from fcmae.report.read import Run

CALIBRATED, ROUGH = 0.05, 0.15  # our own marks
FEW = 1000  # images: with fewer, chance alone makes the calibration error some points large


def learning(run: Run) -> str:
    """What the curves show, and when to worry."""
    number = num_classes(run)
    guessing = (
        f"; guessing among {units.count(number)} classes scores {math.log(max(number, 1)):.2f}"
    )
    return (
        f"The loss is the cross-entropy in nats{guessing if number > 1 else ''}. Augmentation "
        "makes the training images harder, so their loss may well lie above that of the "
        "validation. Good: both fall. Bad: the validation loss rises while the training loss "
        "falls, which is overfitting. The upright marks the best epoch; as it was chosen on these "
        "same images, its accuracy flatters a little."
    )


def confusion(run: Run) -> str:
    """How to read the matrix."""
    return (
        "A row is what the images show, a column what the model said. Blue on the diagonal is "
        "right, orange is wrong, and the deeper the colour, the larger the share of its row."
    )


def classes(run: Run) -> str:
    """What the accuracy of the classes says together, and which classes have none."""
    images, right = run.outcome.images, run.outcome.confusion.diagonal()
    shown = images > 0
    mean = float(np.mean(right[shown] / images[shown]))
    parts = [f"Averaged over the classes, each counting the same, it is {units.accuracy(mean)}."]
    absent = int(np.count_nonzero(~shown))
    if absent == 1:
        parts.append("One class has no validation image and is not judged.")
    elif absent:
        parts.append(f"{units.count(absent)} classes have no validation image and are not judged.")
    return " ".join(parts)


def imbalance(run: Run) -> str:
    """By how much the largest class is larger than the smallest, and what follows."""
    counts, names = run.outcome.train_images, run.outcome.classes
    low, high = int(counts.argmin()), int(counts.argmax())
    if counts[low] == 0:
        compared = f"Some classes have no training image, “{names[low]}” among them"
    else:
        times = _times(float(counts[high] / counts[low]))
        compared = f"“{names[high]}” has {times} as many training images as “{names[low]}”"
    return (
        f"{compared}. A model leans towards the classes that it sees "
        "often: judge the rare ones by their own accuracy."
    )


def calibration(run: Run) -> str:
    """Whether the model's confidence can be taken at its word."""
    error = run.outcome.calibration_error
    start = (
        f"On average the model’s confidence is {100 * error:.1f} percentage points away from how "
        "often it is right (expected calibration error). "
    )
    if error < CALIBRATED:
        judged = "Its confidence can be read as a probability."
    elif error < ROUGH:
        judged = "Its confidence is a rough guide, not a probability."
    else:
        judged = "Its confidence is no probability: do not decide by a threshold on it."
    if run.outcome.images.sum() < FEW:
        judged += " With so few images, chance has a part in this."
    return start + judged


def mistakes(run: Run) -> str:
    """Why to look at these pictures."""
    return (
        "Where the model was wrong and most sure of itself. Look here first for wrong labels, for "
        "images that show two things, and for what the model has not understood."
    )


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio < 10 else f"{units.count(ratio)} times"
