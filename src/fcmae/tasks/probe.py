"""Probing: whether pre-training helped, beside two controls."""

from typing import Any


def probe(
    *,
    weights: str,
    data: str,
    key: str | None = None,
    image_size: int | str | None = None,
    k: tuple[int, ...] = (20,),
    label_share: tuple[float, ...] = (1.0,),
    seeds: int = 3,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    json: str | None = None,
) -> dict[str, Any]:
    """Say whether pre-training helped: frozen features, beside those of two controls.

    The controls are the same architecture with random weights, and a colour histogram. Features
    are the last stage's average over the image, without mask or final norm; those of networks are
    standardised by the training images. Two probes read classes off them: weighted nearest
    neighbours (cosine similarity, temperature 0.07) and multinomial logistic regression, whose
    penalty is chosen on a fifth of the labels. Both are fitted on train and counted on val. A
    difference goes beyond the spread when it is more than two deviations, of seeds and of the
    images that happen to be in val together.

    Args:
        weights: a run's folder, or a .safetensors or .pth file of an encoder or a classifier.
        data: folder of images, DIR/train/CLASS/... and DIR/val/CLASS/...; or "sample", the
            photographs that come with scikit-image.
        key: which of the states of a .pth file, such as model_ema. Default: its only or usual one.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: the weights' own, or
            224 where they do not say.
        k: numbers of nearest neighbours (the paper's is 20).
        label_share: shares of the labels to learn from, such as 0.01 0.1 1.
        seeds: number of random initialisations, and of draws of each share below 1.
        batch_size: images at a time.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.
        json: a file to write all numbers to, replaced if it is there.

    Returns:
        All numbers, and the sentence as "verdict".

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """
    options = dict(locals())
    from fcmae.tasks.measuring.probing import run  # torch takes seconds to import: not for --help

    return run(options)
