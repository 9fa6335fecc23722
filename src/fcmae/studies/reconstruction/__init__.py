"""The toy study of appendix D, figures 4 and 5: how easy reconstruction is, and at what price.

`recipe` says what is compared, `model` what is trained; `training` and `evaluation` are of one
setting, `study` of all; `claims` compares with the paper, `figures` and `page` show it.
"""

from typing import Any


def reconstruction(
    *,
    data: str,
    out: str = "runs/study-reconstruction",
    scale: str = "small",
    encoders: tuple[str, ...] = (),
    mask_sizes: tuple[int, ...] = (),
    seeds: tuple[int, ...] = (),
    epochs: int | None = None,
    num_images: int | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Reconstruction against representation: a small ConvNeXt and a Transformer, by mask size.

    Trains each encoder, at each mask size, with each seed as a masked autoencoder, and measures its
    error and how well nearest neighbours tell classes by its features. Every setting is kept when
    it is finished, and the same command goes on from there; one that was interrupted begins anew.

    Args:
        data: folder of images with classes, DIR/train/CLASS/... and DIR/val/CLASS/...; six classes
            or more. Images are cropped and resized to squares.
        out: folder of results.json, results.csv, the figures and page.html, and, in settings/, the
            weights and reconstructions of every setting.
        scale: small, an hour or so on two cores of a processor; or paper, the appendix's: 50 epochs
            of all training images, which were CIFAR-100's.
        encoders: some of convnext, convnext-grn and transformer. None given: all.
        mask_sizes: pixels a side of what is masked together. None given: 1 2 4 8 16.
        seeds: each decides the weights' start, the order of images and the masks. None given: the
            scale's, 0 1 for small and 0 1 2 for paper.
        epochs: of each training. Default: the scale's.
        num_images: training images to use, the same share of each class; they are the neighbours
            too. Default: the scale's.
        image_size: pixels a side. Default: 32.
        batch_size: images a step; the learning rate is scaled with it. Default: the scale's.
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
        Interrupted: after a signal.
    """
    options = dict(locals())
    from fcmae.studies.reconstruction.study import run  # torch takes seconds to import

    return run(options)
