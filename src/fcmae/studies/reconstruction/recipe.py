"""What the toy study of appendix D compares, and its set-up as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

CONVNEXT, GRN, TRANSFORMER = "convnext", "convnext-grn", "transformer"


@dataclass(frozen=True, slots=True)
class Architecture:
    """An encoder at one resolution throughout; depths are the paper's, widths make 0.6M of it."""

    label: str  # on figures
    blocks: int
    width: int
    base_learning_rate: float  # lr = base_learning_rate * batch_size / 256
    heads: int = 0  # of attention; 0 for a ConvNeXt
    response: str = "none"  # of a ConvNeXt's blocks, see `fcmae.models.responses`


ENCODERS: Mapping[str, Architecture] = {
    CONVNEXT: Architecture("ConvNeXt", 6, 108, 4e-3),
    GRN: Architecture("ConvNeXt with GRN", 6, 108, 4e-3, response="grn"),
    TRANSFORMER: Architecture("Transformer", 4, 112, 4e-3, heads=4),
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
    base_learning_rates: Mapping[str, float] = field(
        default_factory=lambda: {n: e.base_learning_rate for n, e in ENCODERS.items()}
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
