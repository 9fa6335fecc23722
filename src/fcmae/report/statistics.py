"""What is computed of columns of numbers before they are shown.

Curves of any length are made small enough to draw, without losing what a reader must see.
"""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Z = 1.959964  # of a normal distribution, 95 % lie within this many deviations of its mean


def finite(x: Array, y: Array) -> tuple[Array, Array]:
    """The points of x [N] and y [N] that can be drawn."""
    good = np.isfinite(x) & np.isfinite(y)
    return x[good], y[good]


def running_mean(values: Array, window: int) -> Array:
    """The mean of the `window` values around each one, of fewer at both ends: [N] -> [N]."""
    total = np.concatenate([[0.0], np.cumsum(values)])  # [N + 1]
    middle = np.arange(len(values))
    start = np.maximum(middle - (window - 1) // 2, 0)
    stop = np.minimum(middle + window // 2 + 1, len(values))
    mean: Array = (total[stop] - total[start]) / (stop - start)
    return mean


def smooth(values: Array) -> Array:
    """`running_mean` over a fortieth of the run, calm, yet a warm-up still shows: [N] -> [N]."""
    return running_mean(values, max(5, len(values) // 40))


def thin(x: Array, y: Array, buckets: int) -> tuple[Array, Array]:
    """At most 2 * buckets points of a curve, its extremes and both ends among them.

    Every bucket of neighbours gives its lowest and its highest point, so a spike of a single step
    is still there after thinning 500,000 steps. A curve that is short enough is returned as it is.

    Args:
        x: [N], ascending.
        y: [N], finite.
        buckets: how many, about one for two pixels of the drawing.
    """
    if len(y) <= 2 * buckets:
        return x, y
    kept = {0, len(y) - 1}
    bounds = np.linspace(0, len(y), buckets, dtype=int)  # one bucket less: the two ends need room
    for start, stop in itertools.pairwise(bounds):
        kept.add(int(start + np.argmin(y[start:stop])))
        kept.add(int(start + np.argmax(y[start:stop])))
    points = np.array(sorted(kept))
    return x[points], y[points]


def median(values: Array) -> float:
    """The median of the finite values; NaN where there are none."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def mean(values: Array) -> float:
    """The mean of the finite values; NaN where there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


def highest(values: Array) -> float:
    """The highest of the finite values; 0 where none is above it."""
    return float(values[np.isfinite(values)].max(initial=0.0))


def interval(accuracy: float, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, sound for few images and near 0 and 1 as well.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Args:
        accuracy: 0 to 1.
        images: of which it is the share, at least one.

    Returns:
        Its lower and its upper end, 0 to 1.
    """
    middle = accuracy + Z**2 / (2 * images)
    reach = Z * math.sqrt(accuracy * (1 - accuracy) / images + (Z / (2 * images)) ** 2)
    scale = 1 + Z**2 / images
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
