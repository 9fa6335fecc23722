"""Evaluation: how often a classifier is right, and how well it knows that."""

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


def evaluate(
    *,
    data: str,
    weights: str,
    split: str = "val",
    key: str | None = None,
    image_size: int | str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    json: str | None = None,
) -> Evaluation:
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
        key: which of the states of a .pth file, such as model_ema. Default: its only or usual one.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: the weights' own, or
            224 where they do not say.
        batch_size: images at a time on one device.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        workers: processes that read images, for each device. Default: 1 on the CPU; else the
            cores, at most 8.
        json: a file to write all numbers to, replaced if it is there.

    Returns:
        What was measured.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    options = dict(locals())
    from fcmae.tasks.evaluating import run  # torch takes seconds to import: not for --help

    return run(options)
