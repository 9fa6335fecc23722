"""The figures at the top of the page."""

import math
from dataclasses import dataclass

import numpy as np

from fcmae.console import units
from fcmae.report.curves import Array, finite, smooth
from fcmae.report.read import Run


@dataclass(frozen=True)
class Figure:
    """A key figure: what it is called, its value, and a word of context."""

    name: str
    value: str
    note: str = ""


def key_figures(run: Run) -> list[Figure]:
    """The figures at the top of the page; those not known yet are left out."""
    figures: list[Figure] = []
    ends = loss_ends(run)
    if ends:
        figures.append(Figure("Loss", units.loss(ends[1]), f"from {units.loss(ends[0])}"))
    figures.append(epochs(run))
    images = run.number("data", "images")
    if math.isfinite(images):
        figures.append(Figure("Images", units.count(images), unreadable_note(run)))
    return figures + pace(run)


def epochs(run: Run) -> Figure:
    """The epochs done, of how many."""
    total = run.number("epochs")
    done = max([0.0, *run.steps.epoch[-1:], *run.epochs.epoch[-1:]])
    note = units.plural(run.last_step, "step")
    if run.finished and not run.stop and math.isfinite(total):
        return Figure("Epochs", f"{total:g}", note)
    of = f" of {total:g}" if math.isfinite(total) else ""
    return Figure("Epochs", f"{done:.1f}".removesuffix(".0") + of, note)


def pace(run: Run) -> list[Figure]:
    """How long the run took, and how fast it was."""
    figures: list[Figure] = []
    timing = run.timing
    if timing.seconds:
        left = seconds_left(run)
        note = f"about {units.duration(left)} left" if left else ""
        figures.append(Figure("Time", units.duration(timing.seconds), note))
    rate = median(timing.images_per_second)
    if math.isfinite(rate):
        figures.append(Figure("Images a second", units.rate(rate), "median"))
    waiting = mean(timing.waiting)
    if math.isfinite(waiting):
        figures.append(Figure("Waiting for images", units.percent(waiting), "of the time"))
    return figures


def loss_ends(run: Run) -> tuple[float, float] | None:
    """The running mean of the loss where it begins and where it ends; None before any."""
    _, values = finite(run.steps.step, run.steps.loss)
    if len(values) == 0:
        return None
    return float(values[0]), float(smooth(values)[-1])


def seconds_left(run: Run) -> float:
    """An estimate from the median speed; 0 where the run is finished or nothing is known."""
    batch, steps = run.number("batch_size"), run.number("steps")
    rate = median(run.timing.images_per_second)
    left = (steps - run.last_step) * batch / rate if rate > 0 else math.nan
    return left if left > 0 and not run.finished else 0.0


def unreadable_note(run: Run) -> str:
    """How many files could not be read, where there are any."""
    return f"{units.count(len(run.unreadable))} unreadable" if run.unreadable else ""


def median(values: Array) -> float:
    """The median of the finite values; NaN where there are none."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def mean(values: Array) -> float:
    """The mean of the finite values; NaN where there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan
