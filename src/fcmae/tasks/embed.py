"""Embedding: a vector of features for every image."""

from pathlib import Path


def embed(
    *,
    weights: str,
    data: str,
    out: str,
    split: str | None = None,
    norm: bool = False,
    key: str | None = None,
    image_size: int | str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the features of images: the global average of the backbone's last stage.

    Rows are in the order of the images, sorted by path. Files that cannot be read have no row, but
    are named, with the reason, beside the features. What is done is kept in a hidden folder beside
    `out` until the end: after an interruption, the same command goes on where it was.

    Args:
        weights: a run's folder, or a .safetensors or .pth file, of an encoder or a classifier.
        data: folder of images, nested or flat; a .txt file with one path a line; or "sample", the
            photographs that come with scikit-image.
        out: a file ending in .npy: float32 [N, C], and beside it a .json with the N names, their
            labels where known, and the unreadable files. Or in .parquet (needs
            `pip install 'fcmae[parquet]'`): columns path, label where known, features; the
            unreadable files are in the schema's metadata.
        split: train or val: read DIR/SPLIT/CLASS/... and write each image's class as its label.
            Default: all images of `data`, without labels unless it is "sample".
        norm: apply the final norm to the average, as a classifier's head sees it. Encoders from
            pre-training have none.
        key: which of the states of a .pth file, such as model_ema. Default: its only or usual one.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: the weights' own, or
            224 where they do not say.
        batch_size: images at a time.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.
        overwrite: delete `out`, and what is there of it, first.

    Returns:
        The file that was written.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    options = dict(locals())
    from fcmae.tasks.measuring.embedding import run  # torch takes seconds to import: not for --help

    return run(options)
