"""A few images of a set, always the same: to be shown, and to find out early what can be read."""

from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from fcmae.images.sets import ImageSet
from fcmae.images.transforms import centre_crop
from fcmae.images.unreadable import Unreadable

NUM_IMAGES = 6


class Pictures(NamedTuple):
    """The fixed images of a run."""

    names: list[str]
    images: list[Tensor]  # each [C, H, W] in 0..1


def choose(
    images: ImageSet[object], channels: int, size: tuple[int, int], number: int = NUM_IMAGES
) -> Pictures:
    """Readable images at even distances, as many as there are up to `number`, cropped to `size`.

    Raises:
        ValueError: if none of those tried can be read.
    """
    names: list[str] = []
    pictures: list[Tensor] = []
    reasons: list[str] = []
    wanted, free = min(number, len(images)), 0  # free: the first that was not tried yet
    for start in (i * len(images) // wanted for i in range(wanted)):
        for index in range(max(start, free), min(start + 5, len(images))):
            free = index + 1
            try:
                picture = images.read(index, channels).pixels
            except Unreadable as error:
                reasons.append(f"{images.name(index)}: {error.reason}")
                continue
            names.append(images.name(index))
            pictures.append(centre_crop(picture, size))
            break
    if not pictures:
        listed = "\n  ".join(reasons[:3])
        raise ValueError(f"data: none of the {len(reasons)} images tried can be read:\n  {listed}")
    return Pictures(names, pictures)


def show(picture: Tensor) -> Image.Image:
    """[C, H, W] in 0..1 as a picture: one or two channels grey, more as red, green, blue."""
    channels = 3 if len(picture) >= 3 else 1
    values = picture[:channels].clamp(0, 1).mul(255).round().to(torch.uint8)
    array = values.permute(1, 2, 0).numpy()
    return Image.fromarray(array if channels == 3 else array[:, :, 0])
