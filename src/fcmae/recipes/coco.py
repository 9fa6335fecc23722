"""Object detection and instance segmentation on COCO (section A.3)."""

from dataclasses import dataclass
from typing import Annotated

from fcmae.recipes.table import By, Sweep, by, sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Section A.3; fields stand in the order of its sentences."""

    initial_weights: str
    schedule: str
    training_epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float  # as it is, not scaled with the batch
    weight_decay: float
    layer_wise_lr_decay: Sweep[float]
    stochastic_depth_rate: Sweep[float]
    augmentation: str
    resolution: tuple[int, int]  # pixels
    scale_range: tuple[float, float]
    testing: str


COCO = Detection(
    initial_weights="ImageNet-1K pre-training",
    schedule="3x",
    training_epochs=36,
    batch_size=32,
    optimizer="AdamW",
    learning_rate=1e-4,
    weight_decay=0.05,
    layer_wise_lr_decay=sweep(0.9, 0.95),
    stochastic_depth_rate=sweep(0.2, 0.3, 0.4, 0.5),
    augmentation="large-scale jittering",
    resolution=(1024, 1024),
    scale_range=(0.1, 2.0),
    testing="single-scale, soft-NMS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstatedDetection:
    """What A.3 leaves out: no V2 configuration is released, these are those of V1."""

    learning_rate_schedule: Annotated[str, "after epochs 27 and 33; V1's configurations"]
    layer_decay_layers: Annotated[By[int], "that share out the decay; V1's configurations"]
    output_norm: Annotated[str, "after each of the four stages, eps 1e-6; V1's code"]


COCO_UNSTATED = UnstatedDetection(
    learning_rate_schedule="step",
    layer_decay_layers=by(T=6, BL=12),
    output_norm="LayerNorm",
)
