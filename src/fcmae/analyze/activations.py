"""Channel maps of one block, for a few images and several models (the main paper's figure 3)."""

from pathlib import Path


def activations(
    *,
    weights: tuple[str, ...],
    images: tuple[str, ...] = (),
    data: str | None = None,
    out: Path = Path("runs/analyze-activations"),
    block: str | None = None,
    tensor: str = "widened",
    channels: int = 64,
    num_images: int = 4,
    key: str | None = None,
    image_size: int | str | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Path:
    """Draw what channels of one block say of a few images, models side by side.

    Each channel is a small map. Dead channels, close to zero everywhere, and saturated ones, the
    same value everywhere, are counted over all channels of the block: they say nothing.

    Args:
        weights: runs' folders, or .safetensors or .pth files, of encoders or classifiers.
        images: image files; give these or `data`.
        data: folder of images, a .txt file with one path a line, or "sample"; some of them, at even
            distances, are taken.
        out: folder of results.json and results.csv, which keep what other calls counted, and of
            figure.png, figure.svg and page.html, which show this call.
        block: STAGE.INDEX, both from 0, as in the weights' names: 2.5 is stages.2.5. Default: the
            last of the third stage, whose maps are still large enough to look at.
        tensor: of the block: widened, what enters its last linear layer, as in the main paper;
            block, its output; branch, what is added to its input; grn, what leaves GRN (V2 alone).
        channels: maps for each image, of channels at even distances; all where there are fewer.
        num_images: of `data`.
        key: which of the states of .pth files, such as model_ema. Default: their only or usual one.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: the weights' own, or
            224 where they do not say. Larger images have larger maps.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.

    Returns:
        The page.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    options = dict(locals())
    from fcmae.analyze.activations_maps import run  # torch takes seconds to import: not for --help

    return run(options)
