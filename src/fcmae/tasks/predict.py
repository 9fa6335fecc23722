"""Prediction: what a classifier takes images for."""

from pathlib import Path


def predict(
    *,
    images: tuple[str, ...],
    weights: str,
    out: str,
    top: int = 5,
    key: str | None = None,
    image_size: int | str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the most probable classes of images to a table, a row an image.

    The columns are path, then class_1, probability_1 and so on, most probable first, and error: of
    a file that cannot be read, the reason, and nothing else. Probabilities have six decimals. Rows
    are in the order of `images`, those of a folder sorted by path. The file is written whole or
    not at all.

    Args:
        images: image files, folders of them (nested or flat), .txt files with one path a line; a
            file that is met twice has one row.
        weights: a fine-tuned run's folder, for the weights of its last epoch; or a .safetensors or
            .pth file of a classifier, such as RUN/best.safetensors.
        out: a file ending in .csv, or in .json for a list of rows.
        top: classes a row; all of them where the weights have fewer.
        key: which of the states of a .pth file, such as model_ema. Default: its only or usual one.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: the weights' own, or
            224 where they do not say.
        batch_size: images at a time.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.
        overwrite: replace `out` if it is there.

    Returns:
        The file that was written.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    options = dict(locals())
    from fcmae.tasks.measuring.predicting import (
        run,  # torch takes seconds to import: not for --help
    )

    return run(options)
