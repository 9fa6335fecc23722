"""Mixup and cutmix: how fine-tuning mixes pairs of a batch (Tables 2 to 6 of the paper)."""

import math
import random
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fcmae.images.transforms import Window


class Mix(NamedTuple):
    """How a batch is mixed, drawn once for all its pairs."""

    share: float = 1.0  # of an image and its label in the result; the rest is its partner's
    window: Window | None = None  # what cutmix takes from the partner; None for mixup


def draw_mix(size: tuple[int, int], *, mixup: float | None, cutmix: float | None, seed: int) -> Mix:
    """Draw mixup or cutmix, even odds where both are given, as timm's Mixup in batch mode.

    The authors' code draws for each process and micro-batch. Draw once a step, and the step does
    not depend on how it was divided.

    Args:
        size: height and width of the images, in pixels.
        mixup: α of the Beta(α, α) of the share; None or 0 for no mixup.
        cutmix: the same for the area that cutmix leaves, before the window is cut at the edges.
        seed: decides everything.
    """
    for name, alpha in (("mixup", mixup), ("cutmix", cutmix)):
        if alpha is not None and alpha < 0:
            raise ValueError(f"{name} {alpha} is negative: give a positive α, or 0 for none")
    if not mixup and not cutmix:
        return Mix()
    dice = random.Random(seed)
    cut = dice.random() < 0.5 if mixup and cutmix else bool(cutmix)
    alpha = (cutmix if cut else mixup) or 0.0
    share = dice.betavariate(alpha, alpha)
    if not cut:
        return Mix(share)
    height, width = size
    rows, columns = (int(side * math.sqrt(1 - share)) for side in size)
    row, column = dice.randrange(height), dice.randrange(width)  # the middle
    top, left = max(row - rows // 2, 0), max(column - columns // 2, 0)
    bottom = min(row + (rows + 1) // 2, height)
    right = min(column + (columns + 1) // 2, width)
    window = Window(top, left, bottom - top, right - left)
    return Mix(1 - window.height * window.width / (height * width), window)


def mix(
    images: Tensor, labels: Tensor, num_classes: int, drawn: Mix, *, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Mix neighbours of a batch, and their smoothed labels alike.

    Positions 2k and 2k + 1 are partners; the last of an odd batch stays as it is. So micro-batches
    of even size hold whole pairs, and mix as the whole batch would. (timm's pairs are i and
    B - 1 - i: the same thing in a batch of random order.)

    Args:
        images: [B, C, H, W].
        labels: integers [B].
        num_classes: K.
        drawn: by `draw_mix`; `Mix()` only smooths the labels.
        smoothing: share of each label that is spread over all classes.

    Returns:
        Images [B, C, H, W], a new tensor if anything is mixed, and float32 targets [B, K] with
        sums of 1.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"label_smoothing {smoothing} is not at least 0 and below 1")
    targets = F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes
    if drawn.share == 1:
        return images, targets
    partners = torch.arange(len(images), device=images.device) ^ 1
    partners = torch.where(partners < len(images), partners, partners - 1)
    targets = targets * drawn.share + targets[partners] * (1 - drawn.share)
    if drawn.window is None:
        return images * drawn.share + images[partners] * (1 - drawn.share), targets
    top, left, rows, columns = drawn.window
    area = (..., slice(top, top + rows), slice(left, left + columns))
    mixed = images.clone()
    mixed[area] = images[partners][area]
    return mixed, targets
