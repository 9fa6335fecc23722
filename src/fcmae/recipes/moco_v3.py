"""MoCo v3's pre-training recipe (arXiv:2104.02057), which appendix D compares FCMAE with.

Appendix D follows "the default pre-training and fine-tuning recipes for each approach", and says no
more. Taken here is MoCo v3's for ViT, whose optimiser is AdamW, as ConvNeXt's is; for ResNet it has
LARS and numbers of its own. "MoCo v3's code" is its authors' PyTorch release, "MoCo v3's command"
what that documents for ViT-B.
"""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, slots=True, kw_only=True)
class MocoV3:
    """Everything that decides a pre-training run of MoCo v3."""

    optimizer: Annotated[str, "MoCo v3, section 5"]
    base_learning_rate: Annotated[float, "times batch size / 256; MoCo v3's command"]
    weight_decay: Annotated[float, "MoCo v3's command"]
    decay_exempt: Annotated[str, "whose weights do not decay; MoCo v3's code"]
    optimizer_momentum: Annotated[tuple[float, float], "PyTorch's default; MoCo v3's code"]
    batch_size: Annotated[int, "over all devices; MoCo v3, section 5"]
    learning_rate_schedule: Annotated[str, "MoCo v3, section 5"]
    minimum_learning_rate: Annotated[float, "at the end of the cosine; MoCo v3's code"]
    warmup_epochs: Annotated[int, "MoCo v3, section 5"]
    training_epochs: Annotated[int, "MoCo v3's command"]
    temperature: Annotated[float, "cosines are divided by it; MoCo v3's command"]
    encoder_momentum: Annotated[
        float, "at the first step; it rises to 1 by half a cosine; MoCo v3's code"
    ]
    hidden_width: Annotated[int, "of projector and predictor; MoCo v3, section 5"]
    projection_width: Annotated[int, "of queries and keys; MoCo v3, section 5"]
    frozen_stem: Annotated[
        bool, "ViT's patch projection stays as drawn, for its stability; MoCo v3, section 4.2"
    ]
    image_size: Annotated[int, "pixels a side; two crops of each image; MoCo v3's code"]
    crop_scale: Annotated[tuple[float, float], "shares of the image's area; MoCo v3's code"]
    interpolation: Annotated[str, "of the crops; MoCo v3's code"]
    horizontal_flip: Annotated[float, "probability; MoCo v3's code"]
    colour_jitter: Annotated[
        tuple[float, float, float, float],
        "most change of brightness, contrast, saturation, hue; MoCo v3's code",
    ]
    jitter_probability: Annotated[float, "MoCo v3's code"]
    grey: Annotated[float, "probability; MoCo v3's code"]
    blur: Annotated[
        tuple[float, float], "probability in the first and the second crop; MoCo v3's code"
    ]
    blur_sigma: Annotated[tuple[float, float], "bounds of its deviation, pixels; MoCo v3's code"]
    solarise: Annotated[
        tuple[float, float], "probability in the first and the second crop; MoCo v3's code"
    ]
    precision: Annotated[str, "autocast; MoCo v3's code"]


MOCO_V3 = MocoV3(
    optimizer="AdamW",
    base_learning_rate=1.5e-4,
    weight_decay=0.1,
    decay_exempt="nothing",
    optimizer_momentum=(0.9, 0.999),
    batch_size=4096,
    learning_rate_schedule="cosine decay",
    minimum_learning_rate=0.0,
    warmup_epochs=40,
    training_epochs=300,
    temperature=0.2,
    encoder_momentum=0.99,
    hidden_width=4096,
    projection_width=256,
    frozen_stem=True,
    image_size=224,
    crop_scale=(0.08, 1.0),
    interpolation="bilinear",
    horizontal_flip=0.5,
    colour_jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_probability=0.8,
    grey=0.2,
    blur=(1.0, 0.1),
    blur_sigma=(0.1, 2.0),
    solarise=(0.0, 0.2),
    precision="fp16",
)
