"""MoCo v3's pre-training recipe (arXiv:2104.02057), which appendix D compares FCMAE with.

Appendix D follows "the default pre-training and fine-tuning recipes for each approach", and says no
more. Taken here is MoCo v3's for ViT, whose optimiser is AdamW, as ConvNeXt's is; for ResNet it has
LARS and numbers of its own. "MoCo v3's code" is its authors' PyTorch release, "MoCo v3's command"
what that documents for ViT-B.
"""

from dataclasses import dataclass

from fcmae.recipes.table import sourced


@dataclass(frozen=True, slots=True, kw_only=True)
class MocoV3:
    """Everything that decides a pre-training run of MoCo v3."""

    optimizer: str = sourced("AdamW", "MoCo v3, section 5")
    base_learning_rate: float = sourced(1.5e-4, "times batch size / 256; MoCo v3's command")
    weight_decay: float = sourced(0.1, "MoCo v3's command")
    decay_exempt: str = sourced("nothing", "whose weights do not decay; MoCo v3's code")
    optimizer_momentum: tuple[float, float] = sourced(
        (0.9, 0.999), "PyTorch's default; MoCo v3's code"
    )
    batch_size: int = sourced(4096, "over all devices; MoCo v3, section 5")
    learning_rate_schedule: str = sourced("cosine decay", "MoCo v3, section 5")
    minimum_learning_rate: float = sourced(0.0, "at the end of the cosine; MoCo v3's code")
    warmup_epochs: int = sourced(40, "MoCo v3, section 5")
    training_epochs: int = sourced(300, "MoCo v3's command")
    temperature: float = sourced(0.2, "cosines are divided by it; MoCo v3's command")
    encoder_momentum: float = sourced(
        0.99, "at the first step; it rises to 1 by half a cosine; MoCo v3's code"
    )
    hidden_width: int = sourced(4096, "of projector and predictor; MoCo v3, section 5")
    projection_width: int = sourced(256, "of queries and keys; MoCo v3, section 5")
    frozen_stem: bool = sourced(
        True, "ViT's patch projection stays as drawn, for its stability; MoCo v3, section 4.2"
    )
    image_size: int = sourced(224, "pixels a side; two crops of each image; MoCo v3's code")
    crop_scale: tuple[float, float] = sourced(
        (0.08, 1.0), "shares of the image's area; MoCo v3's code"
    )
    interpolation: str = sourced("bilinear", "of the crops; MoCo v3's code")
    horizontal_flip: float = sourced(0.5, "probability; MoCo v3's code")
    colour_jitter: tuple[float, float, float, float] = sourced(
        (0.4, 0.4, 0.2, 0.1), "most change of brightness, contrast, saturation, hue; MoCo v3's code"
    )
    jitter_probability: float = sourced(0.8, "MoCo v3's code")
    grey: float = sourced(0.2, "probability; MoCo v3's code")
    blur: tuple[float, float] = sourced(
        (1.0, 0.1), "probability in the first and the second crop; MoCo v3's code"
    )
    blur_sigma: tuple[float, float] = sourced(
        (0.1, 2.0), "bounds of its deviation, pixels; MoCo v3's code"
    )
    solarise: tuple[float, float] = sourced(
        (0.0, 0.2), "probability in the first and the second crop; MoCo v3's code"
    )
    precision: str = sourced("fp16", "autocast; MoCo v3's code")


MOCO_V3 = MocoV3()
