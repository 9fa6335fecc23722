"""Mean and standard deviation of each channel, to standardise images with."""

import math

import torch

from fcmae.images.order import epoch_order
from fcmae.images.sets import ImageSet
from fcmae.images.unreadable import Unreadable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CONSTANT = 1e-6  # a standard deviation below this is rounding


def channel_statistics(
    images: ImageSet[object], channels: int, *, limit: int = 1000, seed: int = 0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
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
            image = images.read(index, channels).pixels
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
