"""Class selectivity: how much a channel answers to one class alone (appendix C, figure 2)."""

import math
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fcmae.commands.analyze import Activity
from fcmae.errors import unknown

Values = NDArray[np.float64]

NARROW = 5e-3  # the least bandwidth of a density


def activities(x: Tensor, activity: str = "rectified") -> Tensor:
    """How active each channel is for each image: [B, H, W, C] -> [B, C].

    Morcos et al. (2018) average a channel over space after a ReLU, so that activities are not
    negative and the index lies in 0..1. The output of a ConvNeXt block has no ReLU behind it and
    has both signs, and the paper does not say what was done with them. Two choices are sensible:

    - rectified: the mean over space of max(x, 0), as behind a ReLU. A channel counts as active
      where it is positive.
    - absolute: the mean over space of |x|. It counts as active where it is far from zero.

    Means of signed values are not: their sum may be close to zero or below, and the index anything.

    Args:
        x: maps of any precision.
        activity: one of `Activity`.

    Raises:
        ValueError: for another activity.
    """
    if activity not in get_args(Activity):
        raise unknown("activity", activity, get_args(Activity))
    active = x.abs() if activity == "absolute" else x.clamp(min=0)
    return active.float().mean((1, 2)) if x.dtype != torch.float64 else active.mean((1, 2))


class ClassMeans:
    """The mean of vectors by class; sums alone are kept, so any number of images will do.

    Args:
        num_classes: number of classes, K.
        width: entries of a vector, D.
    """

    def __init__(self, num_classes: int, width: int) -> None:
        self.sums = torch.zeros(num_classes, width, dtype=torch.float64)
        self.counts = torch.zeros(num_classes, dtype=torch.int64)

    def add(self, vectors: Tensor, labels: Tensor) -> None:
        """Count vectors [n, D] of the classes `labels` (int64 [n])."""
        self.sums.index_add_(0, labels, vectors.double())
        self.counts += torch.bincount(labels, minlength=len(self.counts))

    def means(self) -> Tensor:
        """Of the classes that have images: float64 [at most K, D]."""
        seen = self.counts > 0
        return self.sums[seen] / self.counts[seen].unsqueeze(1)


def selectivity_index(means: Tensor) -> Tensor:
    """(mu_max - mu_-max) / (mu_max + mu_-max) of each channel.

    mu_max is the largest class-conditional mean activity, mu_-max the mean of those of all other
    classes, each class with the same weight. 0: all classes alike; 1: one class alone.

    Args:
        means: activities by class, none below zero, [K, C].

    Returns:
        float64 [C], in 0..1; NaN for a channel that is silent, with activity 0 for every class.

    Raises:
        ValueError: if there are fewer than two classes.
    """
    if len(means) < 2:
        raise ValueError(
            f"data: images of only {len(means)} of its classes were read, and two or more are "
            "needed: selectivity is of one class against the others"
        )
    means = means.double()
    largest = means.amax(0)
    others = (means.sum(0) - largest) / (len(means) - 1)
    return (largest - others) / (largest + others)


def distance(one: Values, other: Values) -> float:
    """Wasserstein distance of two samples on a line: the mean way from the one to the other."""
    from scipy.stats import wasserstein_distance  # takes half a second to import

    return float(wasserstein_distance(one, other))


def density(values: Values, places: Values) -> Values:
    """The density at `places` of values in 0..1, by normal kernels that are mirrored at 0 and 1.

    The kernels' width is Silverman's: 0.9 times the deviation, or the interquartile range / 1.34
    where that is less, times n^(-1/5).
    """
    low, high = np.quantile(values, [0.25, 0.75])
    spread = min(float(values.std()), float(high - low) / 1.34)
    width = max(0.9 * spread * len(values) ** -0.2, NARROW)
    mirrored = np.concatenate([values, -values, 2 - values])
    kernels = np.exp(-(((places[:, None] - mirrored) / width) ** 2) / 2)
    found: Values = kernels.sum(1) / (len(values) * width * math.sqrt(2 * math.pi))
    return found
