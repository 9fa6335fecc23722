"""Diversity of features over depth, for several models (figure 6)."""

from pathlib import Path


def diversity(
    *,
    weights: tuple[str, ...],
    data: str,
    out: Path = Path("runs/analyze-diversity"),
    tensor: str = "block",
    num_images: int | None = 1000,
    key: str | None = None,
    image_size: int | str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
) -> Path:
    """Measure how unlike each other the channels of every block are, as in the paper's figure 6.

    The feature cosine distance is the mean over all pairs of channels of (1 - cosine) / 2 of their
    flattened maps, averaged over images: 0 where all channels say the same, 0.5 where they are
    unrelated. Images are whole: nothing is masked. Files that cannot be read are left out and
    counted.

    Models that were measured are kept in `out`: after an interruption, the same command goes on
    with the next, and models may be added.

    Args:
        weights: runs' folders, or .safetensors or .pth files, of encoders or classifiers; a curve
            each, over normalised depth.
        data: folder of images, nested or flat; a .txt file with one path a line; or "sample".
        out: folder of results.json, results.csv, figure.png, figure.svg and page.html.
        tensor: of each block, since the paper does not say which: block, its output; branch, what
            is added to its input; grn, what leaves GRN (V2 alone); or widened, what enters its last
            linear layer, after GRN in V2 and after GELU in V1.
        num_images: so many of them, drawn the same each time; all where there are fewer.
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
    from fcmae.analyze.diversity_rows import run  # torch takes seconds to import: not for --help

    return run(options)
