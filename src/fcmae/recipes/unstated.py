"""What Table 1 leaves out and a pre-training run needs, each with its source."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """Settings of pre-training that no table prints."""

    mask_ratio: float  # section 3
    mask_size: int  # pixels a side of a patch; section 3
    image_size: int  # pixels; section 3
    norm_pix: bool  # targets normalised within each patch; section 3 and the authors' code
    decoder_width: int  # channels; section 3
    decoder_depth: int  # blocks; section 3
    crop_scale: tuple[float, float]  # of RandomResizedCrop, as shares of the area; authors' code
    horizontal_flip: float  # probability; authors' code, though Table 1 lists only the crop
    minimum_learning_rate: float  # at the end of the cosine; authors' code
    decay_exempt: str  # "paper-code": no decay of what is 1-D or a bias; authors' code
    precision: str  # authors' code


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
