"""Two views of an image, as contrastive learning compares them (MoCo v3, which follows BYOL).

In the order of MoCo v3's code: crop, colour jitter, grey, blur, solarise; the flip, which comes
last there, changes nothing by coming with the crop. Where that code rounds to 8 bits after
each operation and blurs by repeated boxes, these are floats and a Gaussian.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from fcmae.images.pixels import Decoded
from fcmae.images.transforms import (
    random_resized_crop,
    random_window,
    sample_seed,
    shrinkage,
    uniform,
)
from fcmae.images.views import EXACT, Pair

REACH = 3  # deviations to either side that a blur reaches
THRESHOLD = 128 / 255  # values from here on are inverted by solarising
ADJUSTMENTS = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


@dataclass(frozen=True, slots=True)
class PairView:
    """Two random crops of an image, each with changed colours; the second differs in how often.

    Colours are those of images of 3 channels. Of 1 channel, only brightness and contrast are
    jittered and nothing is greyed; of other numbers, neither is done. Blur and solarising are for
    any.

    Attributes:
        size: height and width of each view, in pixels.
        crop_scale: bounds of a crop's share of the image's area.
        horizontal_flip: probability.
        colour_jitter: most by which brightness, contrast and saturation are multiplied more or
            less than 1, and most by which hue is turned, in turns.
        jitter_probability: of all four, in random order.
        grey: probability.
        blur: probability in the first view, in the second.
        blur_sigma: bounds of its deviation, in pixels.
        solarise: probability in the first view, in the second.
        decoding: "fast" or "exact".
    """

    size: tuple[int, int]
    crop_scale: tuple[float, float]
    horizontal_flip: float
    colour_jitter: tuple[float, float, float, float]
    jitter_probability: float
    grey: float
    blur: tuple[float, float]
    blur_sigma: tuple[float, float]
    solarise: tuple[float, float]
    decoding: str = EXACT

    def shrinkage(self, height: int, width: int, seed: int) -> int:
        """As much as both of the crops that `seed` draws allow, unless decoding is exact."""
        if self.decoding == EXACT:
            return 1
        # The window is the first that a crop draws: these are the ones that will be seen.
        windows = [random_window(height, width, self.crop_scale, _dice(seed, i)) for i in (0, 1)]
        return min(shrinkage(window, self.size) for window in windows)

    def __call__(self, image: Decoded, target: object, seed: int) -> Pair:
        """Both views, as `seed` says."""
        return Pair(*(self._view(image, i, _dice(seed, i)) for i in (0, 1)))

    def _view(self, image: Decoded, number: int, generator: torch.Generator) -> Tensor:
        def happens(probability: float) -> bool:
            return uniform(0, 1, generator) < probability

        view = random_resized_crop(
            image, self.size, self.crop_scale, self.horizontal_flip, generator=generator
        )
        if happens(self.jitter_probability):
            view = jitter(view, self.colour_jitter, generator)
        if happens(self.grey) and len(view) == 3:
            view = F.rgb_to_grayscale(view, num_output_channels=3)
        if happens(self.blur[number]):
            view = blur(view, uniform(*self.blur_sigma, generator))
        if happens(self.solarise[number]):
            view = F.solarize(view, THRESHOLD)
        return view


def jitter(
    image: Tensor, most: tuple[float, float, float, float], generator: torch.Generator
) -> Tensor:
    """Change brightness, contrast, saturation and hue at random, in random order.

    Args:
        image: float32 [C, H, W] in 0..1; see `PairView` for C other than 3.
        most: by which each is changed; see `PairView`.
        generator: decides the order and the amounts.
    """
    known = {1: 2, 3: 4}.get(len(image), 0)  # of the adjustments, in their order
    amounts = [uniform(max(0, 1 - bound), 1 + bound, generator) for bound in most[:3]]
    amounts.append(uniform(-most[3], most[3], generator))
    for number in torch.randperm(4, generator=generator).tolist():
        if number < known and most[number]:
            image = ADJUSTMENTS[number](image, amounts[number])
    return image


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of a deviation in pixels; edges are mirrored.

    Args:
        image: float32 [C, H, W].
        sigma: more than 0.
    """
    # An edge mirrors no more than there is: only pictures of a few pixels are so small.
    reach = min(math.ceil(REACH * sigma), min(image.shape[1:]) - 1)
    blurred: Tensor = F.gaussian_blur(image, [2 * reach + 1] * 2, [sigma] * 2)
    return blurred.clamp(0, 1)


def _dice(seed: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(sample_seed(seed, 0, number))
