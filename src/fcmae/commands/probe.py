"""Probing: whether pre-training helped, beside two controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcmae.commands.command import command
from fcmae.commands.shared import Reading


@dataclass(frozen=True, kw_only=True)
class Probe(Reading):
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
        k: numbers of nearest neighbours (the paper's is 20).
        label_share: shares of the labels to learn from, such as 0.01 0.1 1.
        seeds: number of random initialisations, and of draws of each share below 1.
        json: a file to write all numbers to, replaced if it is there.

    Returns:
        All numbers, and the sentence as "verdict".

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    weights: str | Path
    data: str | Path
    k: Sequence[int] = (20,)
    label_share: Sequence[float] = (1.0,)
    seeds: int = 3
    json: str | Path | None = None


probe = command(Probe, "fcmae.probes.probe:run_probe", dict[str, Any])
