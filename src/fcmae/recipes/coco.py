"""Object detection and instance segmentation on COCO (section A.3)."""

from dataclasses import dataclass

from fcmae.recipes.table import By, Sweep, by, sourced, sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Section A.3; fields stand in the order of its sentences."""

    initial_weights: str = "ImageNet-1K pre-training"
    schedule: str = "3x"
    training_epochs: int = 36
    batch_size: int = 32
    optimizer: str = "AdamW"
    learning_rate: float = 1e-4  # as it is, not scaled with the batch
    weight_decay: float = 0.05
    layer_wise_lr_decay: Sweep[float] = sweep(0.9, 0.95)
    stochastic_depth_rate: Sweep[float] = sweep(0.2, 0.3, 0.4, 0.5)
    augmentation: str = "large-scale jittering"
    resolution: tuple[int, int] = (1024, 1024)  # pixels
    scale_range: tuple[float, float] = (0.1, 2.0)
    testing: str = "single-scale, soft-NMS"


COCO = Detection()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstatedDetection:
    """What A.3 leaves out: no V2 configuration is released, these are those of V1."""

    learning_rate_schedule: str = sourced("step", "after epochs 27 and 33; V1's configurations")
    layer_decay_layers: By[int] = sourced(
        by(T=6, BL=12), "that share out the decay; V1's configurations"
    )
    output_norm: str = sourced("LayerNorm", "after each of the four stages, eps 1e-6; V1's code")


COCO_UNSTATED = UnstatedDetection()
