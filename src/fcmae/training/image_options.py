"""What options say of images: their size, how they are decoded and normalised."""

from fcmae.errors import unknown
from fcmae.images import IMAGENET_MEAN, IMAGENET_STD, ImageSet, channel_statistics
from fcmae.images.views import DECODINGS, EXACT, FAST

DECODING_IN_WORDS = {
    FAST: "fast: JPEGs much larger than their crops are shrunk as they are decoded",
    EXACT: "exact",
}


def parse_image_size(image_size: int | str) -> tuple[int, int]:
    """224 -> (224, 224); "160x96" -> height 160, width 96."""
    numbers = str(image_size).lower().split("x")
    if len(numbers) > 2 or not all(number.strip().isdecimal() for number in numbers):
        raise ValueError(
            f"image size {image_size!r} is not a number or HEIGHTxWIDTH, like 224 or 160x96"
        )
    height, width = (int(number) for number in (numbers * 2)[:2])
    return height, width


def parse_decoding(decoding: str) -> str:
    """Refuse what is neither fast nor exact."""
    if decoding not in DECODINGS:
        raise unknown("decoding", decoding, DECODINGS)
    return decoding


def normalisation(
    statistics: str, channels: int, images: ImageSet[object]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel."""
    if statistics not in ("auto", "imagenet", "data"):
        raise ValueError(f"statistics {statistics!r} is not known: auto, imagenet or data")
    if statistics == "imagenet" and channels != 3:
        raise ValueError(f"statistics imagenet are of 3 channels, not {channels}: use data")
    if channels < 1:
        raise ValueError(f"in_channels {channels}: at least 1 is needed")
    if statistics == "data" or channels != 3:
        return channel_statistics(images, channels)
    return IMAGENET_MEAN, IMAGENET_STD
