"""Class selectivity of every block's channels, models laid over each other (figure 2)."""

from pathlib import Path


def selectivity(
    *,
    weights: tuple[str, ...],
    data: str,
    split: str = "val",
    out: Path = Path("runs/analyze-selectivity"),
    activity: str = "rectified",
    num_images: int | None = None,
    key: str | None = None,
    image_size: int | str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
) -> Path:
    """Measure how much each channel answers to one class alone, as the paper's figure 2.

    The class selectivity index (Morcos et al. 2018) of a channel is (a - b) / (a + b): a is the
    largest of its class-conditional mean activities, b the mean of those of the other classes.
    0: all classes alike, 1: one class alone. It is measured on the output of every residual block.
    Sums by class are kept, not activities, so that data may have any size. Files that cannot be
    read are left out and counted.

    Models that were measured are kept in `out`: after an interruption, the same command goes on
    with the next, and models may be added.

    Args:
        weights: runs' folders, or .safetensors or .pth files, of encoders or classifiers with the
            same number of blocks, to be laid over each other. The paper's are a V1 and a V2 after
            pre-training.
        data: folder of images, DIR/SPLIT/CLASS/...; where DIR has neither a folder train nor val,
            DIR/CLASS/...; or "sample". The paper's is ImageNet's val.
        split: train or val.
        out: folder of results.json, results.csv, figure.png, figure.svg, page.html and indices/,
            every channel's index.
        activity: of a channel for an image, since a block's output is not rectified: rectified,
            the mean over space of max(x, 0); or absolute, of |x|.
        num_images: so many of them, drawn the same each time. Default: all.
        key: which of the states of .pth files, such as model_ema. Default: their only or usual one.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: the weights' own, or
            224 where they do not say.
        batch_size: images at a time.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.

    Returns:
        The page.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    options = dict(locals())
    from fcmae.analyze.selectivity_rows import run  # torch takes seconds to import: not for --help

    return run(options)
