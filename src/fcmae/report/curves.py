"""Curves of any length made small enough to draw, without losing what a reader must see."""

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def finite(x: Array, y: Array) -> tuple[Array, Array]:
    """The points of x [N] and y [N] that can be drawn."""
    good = np.isfinite(x) & np.isfinite(y)
    return x[good], y[good]


def running_mean(values: Array, window: int) -> Array:
    """The mean of the `window` values around each one, of fewer at both ends: [N] -> [N]."""
    total = np.concatenate([[0.0], np.cumsum(values)])  # [N + 1]
    place = np.arange(len(values))
    start = np.maximum(place - (window - 1) // 2, 0)
    stop = np.minimum(place + window // 2 + 1, len(values))
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
    places = np.array(sorted(kept))
    return x[places], y[places]
