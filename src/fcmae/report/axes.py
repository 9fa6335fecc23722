"""Axes with round ticks: where a value lies between 0 and 1, and what is written beside it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fcmae.console import units
from fcmae.report.statistics import Array

Label = Callable[[float], str]


@dataclass(frozen=True)
class Axis:
    """A range of values, linear or logarithmic, its ticks, and rules across the panel."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False
    rules: tuple[float, ...] = ()

    def position(self, values: Array) -> Array:
        """Where values lie: 0 at `low`, 1 at `high`: [N] -> [N]."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (np.log(values) - low) / (high - low)
        return (values - self.low) / (self.high - self.low)


def linear_axis(
    low: float, high: float, ticks: float, label: Label | None = None, exact: bool = False
) -> Axis:
    """About `ticks` ticks at multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: the least value to show.
        high: the greatest.
        ticks: how many are wanted; there may be one or two more or fewer.
        label: writes a tick; by default with as many decimals as the ticks differ in.
        exact: end at `low` and `high` rather than at the ticks around them.
    """
    if not high > low:
        low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if low else (0.0, 1.0)
    step = _round_step((high - low) / ticks)
    # The tolerance keeps 0.3 = 3 * 0.1 (in floating point a little more) from growing a tick.
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    if exact:
        first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    values = [index * step for index in range(first, last + 1)]
    write = label or _decimals(step)
    if not exact:
        low, high = values[0], values[-1]
    return Axis(low, high, tuple((value, write(value)) for value in values))


def log_axis(low: float, high: float, ticks: int) -> Axis:
    """Ticks at 1, 2 and 5 times powers of ten, or at powers alone where those would be many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    fine = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    start = max(index for index, value in enumerate(fine) if value <= low * (1 + 1e-9))
    stop = min(index for index, value in enumerate(fine) if value >= high * (1 - 1e-9))
    values: Sequence[float] = fine[start : stop + 1]
    if len(values) > ticks + 2:
        stride = math.ceil((last - first) / ticks)
        values = [10.0**power for power in range(first, last + stride, stride)]
    return Axis(values[0], values[-1], tuple((v, f"{v:g}") for v in values), log=True)


def _round_step(wanted: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(wanted))
    for digit in (1, 2, 5):
        if wanted <= digit * power * (1 + 1e-9):
            return digit * power
    return 10 * power


def _decimals(step: float) -> Label:
    if step >= 1000:
        return units.short
    digits = next((n for n in range(12) if abs(step * 10**n - round(step * 10**n)) < 1e-6), 12)
    return lambda value: f"{value:.{digits}f}"
