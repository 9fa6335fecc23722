"""How fine-tuning changes its training images (Tables 2 to 6 of the paper).

In the order of the authors' code: crop, flip and RandAugment an image; normalise; erase a rectangle
of it; then `mixing` mixes pairs of the batch. What is random is a function of a seed, and no global
generator is left changed.
"""

import contextlib
import functools
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from fcmae.images.pixels import Decoded
from fcmae.images.transforms import Window, random_resized_crop

ERASED_AREA = (0.02, 1 / 3)  # bounds of the erased share of an image
ERASED_RATIO = (0.3, 1 / 0.3)  # height over width
ATTEMPTS = 10


def augmentable(channels: int) -> bool:
    """Whether RandAugment can be applied to images of so many channels: it knows grey and RGB."""
    return channels in (1, 3)


def augment(
    image: Decoded,
    size: tuple[int, int],
    *,
    crop_scale: tuple[float, float] = (0.08, 1.0),
    horizontal_flip: float = 0.5,
    rand_augment: tuple[str, int, float] | None = ("RandAug", 9, 0.5),
    fill: Sequence[float],
    generator: torch.Generator,
) -> Tensor:
    """Crop and flip as `random_resized_crop`, then RandAugment as the authors' code.

    That is timm's rand-m9-mstd0.5-inc1: two of fifteen operations, each applied half of the time.

    Args:
        image: as for `random_resized_crop`.
        size: height and width of the result, in pixels.
        crop_scale: bounds of the crop's share of the image's area.
        horizontal_flip: probability of a flip.
        rand_augment: the table's cell: "RandAug", the magnitude, 0 to 10, and its standard
            deviation; None leaves it out.
        fill: colour of what comes in from beyond the edges, C values in 0..1: the data's mean.
        generator: decides everything.

    Returns:
        float32 [C, *size] in 0..1.

    Raises:
        ValueError: if RandAugment cannot be applied to such an image.
    """
    crop = random_resized_crop(image, size, crop_scale, horizontal_flip, generator=generator)
    if rand_augment is None:
        return crop
    channels = len(crop)
    if not augmentable(channels) or image.pixels.dtype != torch.uint8:
        raise ValueError(
            f"rand_augment {rand_augment} needs images of 8 bits and of 1 or 3 channels, not "
            f"{image.pixels.dtype} of {channels}: leave it out with --set rand_augment=0,0"
        )
    if len(fill) != channels:
        raise ValueError(f"fill has {len(fill)} values: give one for each of {channels} channels")
    # What is grey stays so under every operation: one channel is as good as three equal ones.
    pixels = (crop * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0)  # [H, W, 3]
    colour = tuple(round(255 * value) for value in fill) * (3 // channels)
    policy = _policy(*rand_augment, colour)
    with _seeded(int(torch.randint(2**32, (1,), generator=generator).item())):
        augmented = policy(Image.fromarray(pixels.numpy()))
    result = torch.from_numpy(np.array(augmented)).permute(2, 0, 1)[:channels]
    return result.contiguous().float() / 255


@functools.cache
def _policy(name: str, magnitude: int, deviation: float, colour: tuple[int, ...]) -> Any:
    from timm.data.auto_augment import rand_augment_transform

    if name != "RandAug" or magnitude not in range(11) or not 0 <= deviation <= 10:
        raise ValueError(
            f"rand_augment {(name, magnitude, deviation)} is not ('RandAug', magnitude from 0 to "
            "10, standard deviation from 0 to 10); the paper's is ('RandAug', 9, 0.5)"
        )
    policy = rand_augment_transform(
        f"rand-m{magnitude:.0f}-mstd{deviation:f}-inc1",
        {"img_mean": colour, "interpolation": Image.Resampling.BICUBIC},
    )
    for operation in policy.ops:
        if operation.name == "PosterizeIncreasing":
            operation.aug_fn = _posterize
    return policy


def _posterize(image: Image.Image, bits: int, **_: object) -> Image.Image:
    # timm asks for 0 bits at the largest magnitude. Pillow made that black, and refuses it from 13.
    return ImageOps.posterize(image, bits) if bits else Image.new(image.mode, image.size)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators that timm draws from, and put them back."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def erase(images: Tensor, seeds: Sequence[int], probability: float = 0.25) -> Tensor:
    """Put normal noise into a rectangle of some images: timm's random erasing in pixel mode.

    The tables do not print it; the authors' code has 0.25 for all sizes.

    Args:
        images: [B, C, H, W], normalised, so that noise of N(0, 1) looks like them.
        seeds: one an image, decides whether, where and what. `sample_seed`'s may be used for its
            crop too: that draws from another generator.
        probability: of an image to be erased.

    Returns:
        [B, C, H, W], a new tensor.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"random erasing {probability} is not a probability: 0 to 1")
    erased = images.clone()
    for image, seed in zip(erased, seeds, strict=True):
        dice = random.Random(seed)
        window = _erased_window(image.shape[1], image.shape[2], probability, dice)
        if window is not None:
            top, left, rows, columns = window
            # Drawn on the CPU, so that it is the same on every device.
            generator = torch.Generator().manual_seed(dice.getrandbits(63))
            noise = torch.randn(len(image), rows, columns, generator=generator)
            image[:, top : top + rows, left : left + columns] = noise.to(image)
    return erased


def _erased_window(
    height: int, width: int, probability: float, dice: random.Random
) -> Window | None:
    if dice.random() > probability:
        return None
    for _ in range(ATTEMPTS):
        area = height * width * dice.uniform(*ERASED_AREA)
        ratio = math.exp(dice.uniform(*map(math.log, ERASED_RATIO)))
        rows, columns = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if rows < height and columns < width:
            top, left = dice.randint(0, height - rows), dice.randint(0, width - columns)
            return Window(top, left, rows, columns)
    return None
