"""What a run needs and the paper's tables leave out; beside each field what it is; its source."""

from dataclasses import dataclass
from typing import Annotated

from fcmae.recipes.table import By, by


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """Settings of pre-training that Table 1 does not print."""

    mask_ratio: Annotated[float, "section 3; the authors' code masks 30 of 49 patches, 61.2 %"]
    mask_size: Annotated[int, "pixels a side of a patch; section 3"]
    image_size: Annotated[int, "pixels a side; section 3"]
    norm_pix: Annotated[bool, "targets normalised within each patch; section 3, authors' code"]
    decoder_width: Annotated[int, "channels; section 3"]
    decoder_depth: Annotated[int, "blocks; section 3"]
    crop_scale: Annotated[tuple[float, float], "shares of the image's area; authors' code"]
    horizontal_flip: Annotated[float, "probability; authors' code, which does more than the crop"]
    minimum_learning_rate: Annotated[float, "at the end of the cosine; authors' code"]
    decay_exempt: Annotated[str, "no decay of what is 1-D or a bias; authors' code"]
    precision: Annotated[str, "authors' code"]


PRETRAINING = Pretraining(
    mask_ratio=0.6,
    mask_size=32,
    image_size=224,
    norm_pix=True,
    decoder_width=512,
    decoder_depth=1,
    crop_scale=(0.2, 1.0),
    horizontal_flip=0.5,
    minimum_learning_rate=0.0,
    decay_exempt="paper-code",
    precision="fp32",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuning:
    """Settings of fine-tuning that Tables 2-6 do not print."""

    image_size: Annotated[
        int, "pixels a side; Table 7. Table 8 has 384 too, Huge 384 and 512 alone"
    ]
    crop_scale: Annotated[tuple[float, float], "shares of the image's area; authors' code"]
    horizontal_flip: Annotated[float, "probability; authors' code"]
    rand_augment: Annotated[str, "RandAug (9, 0.5) in timm's words; authors' code"]
    random_erasing: Annotated[float, "probability; authors' code"]
    random_erasing_mode: Annotated[str, "noise for each pixel; authors' code"]
    interpolation: Annotated[str, "in training and evaluation; authors' code"]
    mixup_probability: Annotated[float, "of mixup or cutmix; authors' code"]
    mixup_switch: Annotated[float, "probability of cutmix where both are on; authors' code"]
    mixup_mode: Annotated[str, "one draw for a whole batch; authors' code"]
    smoothing_inside_mixup: Annotated[
        bool, "smoothed labels are mixed; without mixup and cutmix, plain smoothing; authors' code"
    ]
    optimizer_epsilon: Annotated[float, "of AdamW; authors' code"]
    minimum_learning_rate: Annotated[
        float, "at the end of the cosine, times the layer's scale as well; authors' code"
    ]
    layer_decay_kind: Annotated[
        By[str], "a scale for each layer, or for groups of three blocks; section A.2"
    ]
    decay_exempt: Annotated[str, "no decay of what is 1-D, a bias or GRN; authors' code"]
    head_std: Annotated[
        float, "drawn, then times head init; biases 0; even if a head is loaded; authors' code"
    ]
    ema_warmup: Annotated[
        bool, "from the loaded weights on, after every step, at its full decay; authors' code"
    ]
    precision: Annotated[str, "autocast; authors' commands"]
    evaluation_crop_ratio: Annotated[
        float, "224/256, of the short side; for sizes below 384 pixels; authors' code"
    ]
    evaluation_squash_from: Annotated[
        int, "pixels: from here resized to a square, nothing cut off; authors' code"
    ]


FINETUNING = Finetuning(
    image_size=224,
    crop_scale=(0.08, 1.0),
    horizontal_flip=0.5,
    rand_augment="rand-m9-mstd0.5-inc1",
    random_erasing=0.25,
    random_erasing_mode="pixel",
    interpolation="bicubic",
    mixup_probability=1.0,
    mixup_switch=0.5,
    mixup_mode="batch",
    smoothing_inside_mixup=True,
    optimizer_epsilon=1e-8,
    minimum_learning_rate=1e-6,
    layer_decay_kind=by(AFPNTH="layer", BL="group"),
    decay_exempt="fixed",
    head_std=0.02,
    ema_warmup=False,
    precision="fp16",
    evaluation_crop_ratio=0.875,
    evaluation_squash_from=384,
)
