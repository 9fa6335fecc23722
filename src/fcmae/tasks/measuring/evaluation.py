"""What an evaluation says."""

from dataclasses import dataclass


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
