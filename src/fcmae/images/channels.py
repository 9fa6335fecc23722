"""Bring an image to the number of channels that a model takes: the rule, and its only place."""

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green, blue


def match_channels(image: Tensor, channels: int, *, alpha: bool = False) -> Tensor:
    """Convert `image` to `channels` channels.

    Alpha is composited over white, unless four channels are wanted of RGBA, which is then kept.
    Grey is repeated when three channels are wanted; of three channels, taken as RGB, the ITU-R 601
    luma is taken when one is wanted. Anything else must have the number that is wanted.

    Args:
        image: [C, H, W], uint8, or float32 in 0..1.
        channels: the number wanted.
        alpha: whether the last channel is alpha.

    Returns:
        [channels, H, W], of the same dtype.

    Raises:
        ValueError: if the rule does not lead from the one number to the other.
    """
    found = len(image)
    if alpha and not channels == found == 4:
        image = _over_white(image)
    match len(image), channels:
        case 1, 3:
            return image.expand(3, -1, -1)
        case 3, 1:
            return _like(image, torch.einsum("chw,c->hw", image.float(), torch.tensor(LUMA))[None])
        case have, wanted if have == wanted:
            return image
    raise ValueError(f"{found} channels{' with alpha' if alpha else ''}, {channels} wanted")


def _over_white(image: Tensor) -> Tensor:
    white = 255.0 if image.dtype == torch.uint8 else 1.0
    colours, alpha = image[:-1].float(), image[-1:].float() / white
    return _like(image, white - (white - colours) * alpha)


def _like(image: Tensor, result: Tensor) -> Tensor:
    return result.round().to(torch.uint8) if image.dtype == torch.uint8 else result.clamp(0, 1)
