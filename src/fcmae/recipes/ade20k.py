"""Semantic segmentation on ADE20K (section A.4)."""

from dataclasses import dataclass

from fcmae.recipes.table import Sweep, sourced, sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Section A.4; fields stand in the order of its sentences."""

    optimizer: str = "AdamW"
    weight_decay: float = 0.05
    batch_size: int = 16
    layer_wise_lr_decay: Sweep[float] = sweep(0.8, 0.9)
    learning_rate: Sweep[float] = sweep(1e-4, 2e-4, 3e-4)  # as it is, not scaled with the batch
    stochastic_depth_rate: Sweep[float] = sweep(0.1, 0.2, 0.3, 0.4)
    training_iterations: int = 160_000
    resolution: tuple[int, int] = (512, 512)  # pixels
    test_scales: tuple[float, ...] = (0.75, 0.875, 1.0, 1.125, 1.25)
    test_resolution: tuple[int, int] = (512, 2048)  # pixels, of which test_scales are multiples
    initial_weights: str = "ImageNet-1K supervised fine-tuning"


ADE20K = Segmentation()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstatedSegmentation:
    """What A.4 leaves out: no V2 configuration is released, these are those of V1."""

    learning_rate_schedule: str = sourced("polynomial decay", "V1's configurations")
    warmup_iterations: int = sourced(1500, "V1's configurations")
    layer_decay_kind: str = sourced(
        "stage", "stage s has decay^(12 - s), all downsampling decay^13, the heads 1; V1's code"
    )
    decoder: str = sourced("UPerNet", "V1's configurations")
    decoder_channels: int = sourced(512, "V1's configurations")
    pool_scales: tuple[int, ...] = sourced(
        (1, 2, 3, 6), "of the decoder's pyramid; V1's configurations"
    )
    auxiliary_loss_weight: float = sourced(
        0.4, "of an FCN head on the third of the four stages; V1's configurations"
    )
    decoder_norm: str = sourced("BatchNorm", "synchronised over devices; V1's configurations")
    output_norm: str = sourced("LayerNorm", "after each of the four stages, eps 1e-6; V1's code")


ADE20K_UNSTATED = UnstatedSegmentation()
