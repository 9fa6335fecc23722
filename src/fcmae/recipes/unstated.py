"""What a run needs and the paper's tables leave out; beside each field what it is; its source."""

from dataclasses import dataclass

from fcmae.recipes.table import By, by, sourced


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """Settings of pre-training that Table 1 does not print."""

    mask_ratio: float = sourced(0.6, "section 3; the authors' code masks 30 of 49 patches, 61.2 %")
    mask_size: int = sourced(32, "pixels a side of a patch; section 3")
    image_size: int = sourced(224, "pixels a side; section 3")
    norm_pix: bool = sourced(True, "targets normalised within each patch; section 3, authors' code")
    decoder_width: int = sourced(512, "channels; section 3")
    decoder_depth: int = sourced(1, "blocks; section 3")
    crop_scale: tuple[float, float] = sourced(
        (0.2, 1.0), "shares of the image's area; authors' code"
    )
    horizontal_flip: float = sourced(
        0.5, "probability; authors' code, which does more than the crop"
    )
    minimum_learning_rate: float = sourced(0.0, "at the end of the cosine; authors' code")
    decay_exempt: str = sourced("paper-code", "no decay of what is 1-D or a bias; authors' code")
    precision: str = sourced("fp32", "authors' code")


PRETRAINING = Pretraining()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuning:
    """Settings of fine-tuning that Tables 2-6 do not print."""

    image_size: int = sourced(
        224, "pixels a side; Table 7. Table 8 has 384 too, Huge 384 and 512 alone"
    )
    crop_scale: tuple[float, float] = sourced(
        (0.08, 1.0), "shares of the image's area; authors' code"
    )
    horizontal_flip: float = sourced(0.5, "probability; authors' code")
    rand_augment: str = sourced(
        "rand-m9-mstd0.5-inc1", "RandAug (9, 0.5) in timm's words; authors' code"
    )
    random_erasing: float = sourced(0.25, "probability; authors' code")
    random_erasing_mode: str = sourced("pixel", "noise for each pixel; authors' code")
    interpolation: str = sourced("bicubic", "in training and evaluation; authors' code")
    mixup_probability: float = sourced(1.0, "of mixup or cutmix; authors' code")
    mixup_switch: float = sourced(0.5, "probability of cutmix where both are on; authors' code")
    mixup_mode: str = sourced("batch", "one draw for a whole batch; authors' code")
    smoothing_inside_mixup: bool = sourced(
        True, "smoothed labels are mixed; without mixup and cutmix, plain smoothing; authors' code"
    )
    optimizer_epsilon: float = sourced(1e-8, "of AdamW; authors' code")
    minimum_learning_rate: float = sourced(
        1e-6, "at the end of the cosine, times the layer's scale as well; authors' code"
    )
    layer_decay_kind: By[str] = sourced(
        by(AFPNTH="layer", BL="group"),
        "a scale for each layer, or for groups of three blocks; section A.2",
    )
    decay_exempt: str = sourced("fixed", "no decay of what is 1-D, a bias or GRN; authors' code")
    head_std: float = sourced(
        0.02, "drawn, then times head init; biases 0; even if a head is loaded; authors' code"
    )
    ema_warmup: bool = sourced(
        False, "from the loaded weights on, after every step, at its full decay; authors' code"
    )
    precision: str = sourced("fp16", "autocast; authors' commands")
    evaluation_crop_ratio: float = sourced(
        0.875, "224/256, of the short side; for sizes below 384 pixels; authors' code"
    )
    evaluation_squash_from: int = sourced(
        384, "pixels: from here resized to a square, nothing cut off; authors' code"
    )


FINETUNING = Finetuning()
