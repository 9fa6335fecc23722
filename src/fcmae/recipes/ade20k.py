"""Semantic segmentation on ADE20K (section A.4)."""

from dataclasses import dataclass
from typing import Annotated

from fcmae.recipes.table import Sweep, sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Section A.4; fields stand in the order of its sentences."""

    optimizer: str
    weight_decay: float
    batch_size: int
    layer_wise_lr_decay: Sweep[float]
    learning_rate: Sweep[float]  # as it is, not scaled with the batch
    stochastic_depth_rate: Sweep[float]
    training_iterations: int
    resolution: tuple[int, int]  # pixels
    test_scales: tuple[float, ...]
    test_resolution: tuple[int, int]  # pixels, of which test_scales are multiples
    initial_weights: str


ADE20K = Segmentation(
    optimizer="AdamW",
    weight_decay=0.05,
    batch_size=16,
    layer_wise_lr_decay=sweep(0.8, 0.9),
    learning_rate=sweep(1e-4, 2e-4, 3e-4),
    stochastic_depth_rate=sweep(0.1, 0.2, 0.3, 0.4),
    training_iterations=160_000,
    resolution=(512, 512),
    test_scales=(0.75, 0.875, 1.0, 1.125, 1.25),
    test_resolution=(512, 2048),
    initial_weights="ImageNet-1K supervised fine-tuning",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstatedSegmentation:
    """What A.4 leaves out: no V2 configuration is released, these are those of V1."""

    learning_rate_schedule: Annotated[str, "V1's configurations"]
    warmup_iterations: Annotated[int, "V1's configurations"]
    layer_decay_kind: Annotated[
        str, "stage s has decay^(12 - s), all downsampling decay^13, the heads 1; V1's code"
    ]
    decoder: Annotated[str, "V1's configurations"]
    decoder_channels: Annotated[int, "V1's configurations"]
    pool_scales: Annotated[tuple[int, ...], "of the decoder's pyramid; V1's configurations"]
    auxiliary_loss_weight: Annotated[
        float, "of an FCN head on the third of the four stages; V1's configurations"
    ]
    decoder_norm: Annotated[str, "synchronised over devices; V1's configurations"]
    output_norm: Annotated[str, "after each of the four stages, eps 1e-6; V1's code"]


ADE20K_UNSTATED = UnstatedSegmentation(
    learning_rate_schedule="polynomial decay",
    warmup_iterations=1500,
    layer_decay_kind="stage",
    decoder="UPerNet",
    decoder_channels=512,
    pool_scales=(1, 2, 3, 6),
    auxiliary_loss_weight=0.4,
    decoder_norm="BatchNorm",
    output_norm="LayerNorm",
)
