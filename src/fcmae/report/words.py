"""What the numbers of a run say, in words."""

import math
import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from fcmae.report import units
from fcmae.report.curves import Array, finite, smooth
from fcmae.report.read import Look, Run

# Our own marks: the paper shows that collapsed layers have lower distances and names no threshold.
COLLAPSED, LOW = 0.05, 0.15
GENERIC = ("train", "val", "test", "images", "data")  # folder names that say nothing alone


@dataclass(frozen=True)
class Figure:
    """A key figure: what it is called, its value, and a word of context."""

    name: str
    value: str
    note: str = ""


def model(run: Run) -> str:
    """The model's name."""
    return str(run.fact("model", "name") or "a model")


def data(run: Run) -> str:
    """The data's name: the last part of its path, of `flowers/train` both."""
    parts = [part for part in re.split(r"[/\\]", str(run.fact("data", "path") or "")) if part]
    generic = bool(parts) and parts[-1].lower() in GENERIC
    return "/".join(parts[-2:] if generic else parts[-1:]) or "unnamed images"


def setting(run: Run) -> list[str]:
    """The line under the title: size, mask, device, day."""
    parts: list[str] = []
    parameters = run.number("model", "parameters")
    if math.isfinite(parameters):
        parts.append(f"{units.short(float(f'{parameters:.3g}'))} parameters")
    if run.pictures.height:
        parts.append(f"{run.pictures.height} × {run.pictures.width} px")
    masked = run.number("real_mask_ratio")
    if math.isfinite(masked):
        parts.append(f"{units.percent(masked)} masked")
    device = " ".join(str(part) for part in (run.fact("device"), run.fact("precision")) if part)
    parts += [device] if device else []
    try:
        created = datetime.fromisoformat(str(run.fact("created")))
        parts.append(f"{created.day} {created:%B %Y}")
    except ValueError:
        pass  # no date is better than a wrong one
    return parts


def progress(run: Run) -> float:
    """The share of the steps that are done, 0 to 1; 0 where the number of steps is unknown."""
    steps = run.number("steps")
    return min(1.0, run.last_step / steps) if steps > 0 else 0.0


def verdict(run: Run) -> str:
    """The run in one or two sentences."""
    sentences = [] if run.finished else [_progress(run)]
    sentences.append(_loss_sentence(run))
    if run.looks and run.looks[-1].epoch > 0:  # before training there is nothing to judge
        sentences.append(_diversity_sentence(run.looks[-1]))
    return " ".join(sentence for sentence in sentences if sentence)


def key_figures(run: Run) -> list[Figure]:
    """The figures at the top of the page; those not known yet are left out."""
    figures: list[Figure] = []
    ends = loss_ends(run)
    if ends:
        figures.append(Figure("Loss", units.loss(ends[1]), f"from {units.loss(ends[0])}"))
    figures.append(_epochs(run))
    images = run.number("data", "images")
    if math.isfinite(images):
        figures.append(Figure("Images", units.count(images), _unreadable_note(run)))
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
    return left if left > 0 else 0.0


def _progress(run: Run) -> str:
    steps = run.number("steps")
    if math.isnan(steps):
        return f"Step {units.count(run.last_step)}."
    share = units.percent(math.floor(100 * progress(run)) / 100)  # 100 % only when it is done
    return f"Step {units.count(run.last_step)} of {units.count(steps)} ({share})."


def _loss_sentence(run: Run) -> str:
    ends = loss_ends(run)
    broken = run.steps.step[~np.isfinite(run.steps.loss)]
    if len(broken):
        return (
            f"The loss was not a finite number at step {units.count(broken[0])}, the first of "
            f"{units.count(len(broken))}: what the model learned is lost; lower the learning rate."
        )
    if ends is None:
        return "No step is logged yet."
    first, last = ends
    if len(run.steps.loss) == 1:
        return f"The loss is {units.loss(first)} at the only step logged."
    span = _span(run)
    if last < 0.995 * first:
        return f"Loss fell from {units.loss(first)} to {units.loss(last)}{span}."
    if last > 1.005 * first:
        return (
            f"Loss rose from {units.loss(first)} to {units.loss(last)}{span}: "
            "the model does not learn; lower the learning rate."
        )
    return f"Loss stayed at {units.loss(last)}{span}: the model has learned little so far."


def _span(run: Run) -> str:
    epochs = run.number("epochs")
    if run.finished and math.isfinite(epochs):
        return f" over {units.plural(epochs, 'epoch')} ({units.plural(run.last_step, 'step')})"
    return " so far"


def _diversity_sentence(look: Look) -> str:
    distances = [value for value in look.distances.values() if math.isfinite(value)]
    if not distances:
        return ""
    last = distances[-1]
    start = f"The last block’s diversity is {last:.2f}: "
    if last < COLLAPSED:
        return start + "its features have collapsed into copies of each other."
    if last < LOW:
        return start + "low, its channels are becoming alike."
    return start + "no sign of collapse."


def _epochs(run: Run) -> Figure:
    total = run.number("epochs")
    done = max([0.0, *run.steps.epoch[-1:], *run.epochs.epoch[-1:]])
    note = units.plural(run.last_step, "step")
    if run.finished and math.isfinite(total):
        return Figure("Epochs", f"{total:g}", note)
    of = f" of {total:g}" if math.isfinite(total) else ""
    return Figure("Epochs", f"{done:.1f}".removesuffix(".0") + of, note)


def _unreadable_note(run: Run) -> str:
    return f"{units.count(len(run.unreadable))} unreadable" if run.unreadable else ""


def median(values: Array) -> float:
    """The median of the finite values; NaN where there are none."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def mean(values: Array) -> float:
    """The mean of the finite values; NaN where there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan
