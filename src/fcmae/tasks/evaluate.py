"""Evaluation: how often a classifier is right, and how well it knows that."""

from fcmae.tasks.measuring.evaluation import Evaluation


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
    from fcmae.tasks.measuring.evaluating import (
        run,  # torch takes seconds to import: not for --help
    )

    return run(options)
