"""The toy study of appendix D, figures 4 and 5: how easy reconstruction is, and at what price.

This file has its options and, as values, what it compares; `model` is what is trained, `training`
and `evaluation` are of one setting, `runner` of all, `page` compares with the paper and shows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fcmae.commands.command import command
from fcmae.studies.study import StudyOptions

CONVNEXT, GRN, TRANSFORMER = "convnext", "convnext-grn", "transformer"


@dataclass(frozen=True, kw_only=True)
class Reconstruction(StudyOptions):
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
        seeds: each decides the weights' start, the order of images and the masks. Default: the
            scale's, 0 1 for small and 0 1 2 for paper.
        epochs: of each training. Default: the scale's.
        num_images: training images to use, the same share of each class; they are the neighbours
            too. Default: the scale's.
        image_size: pixels a side. Default: 32.
        batch_size: images a step; the learning rate is scaled with it. Default: the scale's.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
        Interrupted: after a signal.
    """

    out: str | Path = "runs/study-reconstruction"
    encoders: tuple[Literal["convnext", "convnext-grn", "transformer"], ...] = ()
    mask_sizes: tuple[int, ...] = ()
    epochs: int | None = None
    num_images: int | None = None
    image_size: int | None = None
    batch_size: int | None = None


reconstruction = command(
    Reconstruction, "fcmae.studies.reconstruction.runner:run_reconstruction", list[dict[str, Any]]
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """An encoder at one resolution throughout; depths are the paper's, widths make 0.6M of it."""

    label: str  # on figures
    blocks: int
    width: int
    heads: int = 0  # of attention; 0 for a ConvNeXt
    response: str = "none"  # of a ConvNeXt's blocks, see `fcmae.models.responses`


ENCODERS: Mapping[str, Architecture] = {
    CONVNEXT: Architecture("ConvNeXt", 6, 108),
    GRN: Architecture("ConvNeXt with GRN", 6, 108, response="grn"),
    TRANSFORMER: Architecture("Transformer", 4, 112, heads=4),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The set-up; the first five are the paper's, what follows is chosen (docs/log.md)."""

    image_size: int = 32  # pixels
    mask_sizes: tuple[int, ...] = (1, 2, 4, 8, 16)  # pixels a side of what is masked together
    mask_ratio: float = 0.5
    epochs: int = 50
    neighbours: int = 20
    stem_stride: int = 2
    num_images: int | None = None  # of train, the same share of each class; None for all
    num_val_images: int | None = None  # of val, likewise
    seeds: tuple[int, ...] = (0, 1, 2)
    batch_size: int = 64
    warmup_epochs: float = 2.0
    weight_decay: float = 0.05
    optimizer_momentum: tuple[float, float] = (0.9, 0.95)
    base_learning_rates: Mapping[str, float] = field(  # lr = base_lr * batch_size / 256
        default_factory=lambda: dict.fromkeys(ENCODERS, 4e-3)
    )


PAPER = Recipe()
SMALL = replace(
    PAPER,
    epochs=4,
    num_images=1000,
    num_val_images=1000,
    seeds=(0, 1),
    batch_size=32,
    warmup_epochs=0.4,
    base_learning_rates={CONVNEXT: 16e-3, GRN: 16e-3, TRANSFORMER: 32e-3},  # few steps, by trial
)
SCALES: Mapping[str, Recipe] = {"small": SMALL, "paper": PAPER}


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs from one training to the next."""

    encoder: str
    mask_size: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.encoder}-{self.mask_size}-{self.seed}"

    def __str__(self) -> str:
        return f"{self.encoder}, mask size {self.mask_size}, seed {self.seed}"
