"""Mean and standard deviation of each channel, to standardise images with."""

import math

import torch

from fcmae.images.order import epoch_order
from fcmae.images.sets import ImageSet
from fcmae.images.unreadable import Unreadable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CONSTANT = 1e-6  # a standard deviation below this is rounding


Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of each channel


def choose_statistics(kind: str, channels: int, images: ImageSet) -> Statistics:
    """ImageNet's, or measured on the images; "auto" is ImageNet's for 3 channels.

    Raises:
        ValueError: for another kind, or ImageNet's for images that are not of 3 channels.
    """
    if kind not in ("auto", "imagenet", "data"):
        raise ValueError(f"statistics {kind!r} is not known: auto, imagenet or data")
    if kind == "imagenet" and channels != 3:
        raise ValueError(f"statistics imagenet are of 3 channels, not {channels}: use data")
    if channels < 1:
        raise ValueError(f"in_channels {channels}: at least 1 is needed")
    if kind == "data" or channels != 3:
        return channel_statistics(images, channels)
    return IMAGENET_MEAN, IMAGENET_STD


def channel_statistics(
    images: ImageSet, channels: int, *, limit: int = 1000, seed: int = 0
) -> Statistics:
    """Mean and standard deviation of each channel over up to `limit` images chosen by `seed`.

    Every image has the same weight, whatever its size, as it has in training. Unreadable files
    are skipped. Sums are taken in float64.

    Returns:
        Mean and standard deviation, in units of 0..1, one value a channel.

    Raises:
        ValueError: if no image can be read, or a channel is constant.
    """
    means, squares = [], []
    reason = "there are none"
    for index in epoch_order(len(images), seed, epoch=0)[:limit].tolist():
        try:
            image = images.read(index, channels)
        except Unreadable as error:
            reason = str(error)
            continue
        white = 255 if image.dtype == torch.uint8 else 1
        planes = [channel.double() / white for channel in image]
        means.append(torch.stack([plane.mean() for plane in planes]))
        squares.append(torch.stack([plane.square().mean() for plane in planes]))
    if not means:
        raise ValueError(f"data: no image can be read ({reason})")
    mean = torch.stack(means).mean(0)  # [C]
    variance = torch.stack(squares).mean(0) - mean.square()
    std = [math.sqrt(max(0.0, value)) for value in variance.tolist()]
    for channel, value in enumerate(std):
        if value < CONSTANT:
            raise ValueError(
                f"data: channel {channel} (counted from 0) is constant in {len(means)} images: "
                "remove it from the images"
            )
    return tuple(mean.tolist()), tuple(std)
