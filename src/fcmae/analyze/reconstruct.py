"""Images reconstructed under masks of any kind, ratio and patch size."""

from pathlib import Path


def reconstruct(
    *,
    weights: tuple[str, ...],
    images: tuple[str, ...] = (),
    data: str | None = None,
    out: Path = Path("runs/analyze-reconstruct"),
    mask: str = "random",
    mask_ratios: tuple[float, ...] = (),
    patch_sizes: tuple[int, ...] = (),
    boxes: tuple[str, ...] = (),
    seed: int = 0,
    num_images: int = 4,
    image_size: int | str | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Path:
    """Mask images, and draw what pre-trained models make of what is left.

    Each row is an image under a mask: the image, what the model sees, and its reconstruction, in
    which visible patches are the image's own. Mask ratios and patch sizes may differ from those
    of the training. Images are cropped to the largest centred window of the right shape.

    Args:
        weights: folders of pre-training runs, whose last checkpoint has the decoder as well;
            weights.safetensors alone has not.
        images: image files; give these or `data`.
        data: folder of images, a .txt file with one path a line, or "sample"; some of them, at even
            distances, are taken.
        out: folder of results.json and results.csv, which keep what other calls counted, and of
            figure.png, figure.svg and page.html, which show this call.
        mask: random, patch by patch as in training; block, rectangles of patches until as many are
            masked; or boxes, every patch that one of `boxes` touches.
        mask_ratios: shares of the patches to mask, one after the other. Default: the first run's.
        patch_sizes: pixels a side of a patch, one after the other; multiples of the runs' total
            stride, 8 times the stem's. Default: the first run's.
        boxes: x,y,width,height in pixels of the cropped image, from its upper left corner.
        seed: of random and block-wise masks. The same seed masks the same patches.
        num_images: of `data`.
        image_size: pixels, one number for squares or HEIGHTxWIDTH, multiples of the patch sizes.
            Default: the first run's.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.

    Returns:
        The page.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    options = dict(locals())
    from fcmae.analyze.reconstructions import run  # torch takes seconds to import: not for --help

    return run(options)
