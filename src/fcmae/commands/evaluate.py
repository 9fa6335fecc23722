"""Evaluation: how often a classifier is right, and how well it knows that."""

from dataclasses import dataclass
from pathlib import Path

from fcmae.commands.command import command
from fcmae.commands.shared import Reading, Split


@dataclass(frozen=True, kw_only=True)
class Evaluate(Reading):
    """Measure a classifier's accuracy, per class too, calibration and cross-entropy.

    Each image counts once, also under torchrun, where the processes share the images. Images are
    seen as in the authors' code: below 384 pixels the centre of the resized image, from there on
    all of it. Files that cannot be read are not counted, but named.

    Args:
        data: folder of images, DIR/SPLIT/CLASS/...; where DIR has neither a folder train nor val,
            DIR/CLASS/...; or "sample", the photographs that come with scikit-image. Folders are
            named as the weights name their classes. Weights that do not name them have classes 0,
            1, ...: folders are named so, or are as many, and count in sorted order.
        weights: a fine-tuned run's folder, for the weights of its last epoch; or a .safetensors or
            .pth file of a classifier, such as RUN/best.safetensors.
        split: train or val.
        json: a file to write all numbers to, replaced if it is there.

    Returns:
        What was measured.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    data: str | Path
    weights: str | Path
    split: Split = "val"
    json: str | Path | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, over the images that could be read.

    Attributes:
        weights: the run's folder or the file.
        data: the folder of images.
        images: number of images that were counted, each once.
        top_1: share of the images whose class has the largest logit.
        top_5: share of those whose class is among the five largest; None up to five classes.
        cross_entropy: mean of -log(probability of the image's class), in nats.
        calibration_error: expected calibration error, 15 bins of equal width.
        image_size: height and width in pixels.
        class_images: images of each class of the data.
        class_accuracy: share of each class's images that is right; None without any.
        confusion: for each class, how many of its images were taken for which; no zeros.
        unreadable: files that could not be read, with the reason; they are not counted.
        assumed: what the weights do not say of themselves and was assumed, in words.
    """

    weights: str
    data: str
    images: int
    top_1: float
    top_5: float | None
    cross_entropy: float
    calibration_error: float
    image_size: tuple[int, int]
    class_images: dict[str, int]
    class_accuracy: dict[str, float | None]
    confusion: dict[str, dict[str, int]]
    unreadable: dict[str, str]
    assumed: str | None


evaluate = command(Evaluate, "fcmae.inference.evaluate:run_evaluate", Evaluation)
