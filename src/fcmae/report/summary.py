"""What the numbers of any run say: its name, key figures, sentences and tables."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np

from fcmae.console import units
from fcmae.report.run import Run
from fcmae.report.statistics import finite, highest, mean, median, smooth

GENERIC = ("train", "val", "test", "images", "data")  # folder names that say nothing alone
WEIGHTS = ("weights.safetensors", "best.safetensors")  # likewise, of every run
# Of config.json, what has a table of its own, and what says for a resume what the rest says for a
# reader.
ELSEWHERE = ("command", "departures", "recipe", "versions", "options", "plan", "probe")


class KeyFigure(NamedTuple):
    """A figure at the top of the page: what it is called, its value, and a word of context."""

    name: str
    value: str
    note: str = ""


def model(run: Run) -> str:
    """The model's name."""
    return str(run.fact("model", "name") or "a model")


def data(run: Run) -> str:
    """The data's name: the last part of its path, of `flowers/train` both."""
    return _tail(str(run.fact("data", "path") or ""), GENERIC) or "unnamed images"


def setting(run: Run) -> list[str]:
    """The line under the title: size, first weights, mask, device, day; what is unknown is not."""
    parts: list[str] = []
    parameters, share = run.number("model", "parameters"), run.number("label_share")
    if math.isfinite(parameters):
        parts.append(f"{units.short(float(f'{parameters:.3g}'))} parameters")
    height, width = run.image_size
    if height:
        parts.append(f"{height} × {width} px")
    first = run.fact("init")
    if first:
        parts.append("from scratch" if first == "scratch" else f"from {_tail(str(first), WEIGHTS)}")
    if share < 1:
        parts.append(f"{units.percent(share)} of the labels")
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


def steps_done(run: Run) -> str:
    """How many of the steps are done; nothing of a finished run."""
    if run.finished:
        return ""
    steps = run.number("steps")
    if math.isnan(steps):
        return f"Step {units.count(run.last_step)}."
    share = units.percent(math.floor(100 * progress(run)) / 100)  # 100 % only when it is done
    return f"Step {units.count(run.last_step)} of {units.count(steps)} ({share})."


def non_finite(run: Run) -> str:
    """Where the loss was no number, as the beginning of a sentence; nothing of a sound run."""
    steps = run.steps.step[~np.isfinite(run.steps.loss)]
    if len(steps) == 0:
        return ""
    return (
        f"The loss was not a finite number at step {units.count(steps[0])}, the first of "
        f"{units.count(len(steps))}"
    )


def loss_ends(run: Run) -> tuple[float, float] | None:
    """The running mean of the loss where it begins and where it ends; None before any."""
    _, values = finite(run.steps.step, run.steps.loss)
    if len(values) == 0:
        return None
    return float(values[0]), float(smooth(values)[-1])


def loss_sentence(run: Run) -> str:
    """How the loss went."""
    ends = loss_ends(run)
    if non_finite(run):
        return f"{non_finite(run)}: what the model learned is lost; lower the learning rate."
    if ends is None:
        return "No step is logged yet."
    first, last = ends
    if len(run.steps.loss) == 1:
        return f"The loss is {units.loss(first)} at the only step logged."
    total, span = run.number("epochs"), " so far"
    if run.finished and math.isfinite(total):
        span = f" over {units.plural(total, 'epoch')} ({units.plural(run.last_step, 'step')})"
    if last < 0.995 * first:
        return f"Loss fell from {units.loss(first)} to {units.loss(last)}{span}."
    if last > 1.005 * first:
        return (
            f"Loss rose from {units.loss(first)} to {units.loss(last)}{span}: "
            "the model does not learn; lower the learning rate."
        )
    return f"Loss stayed at {units.loss(last)}{span}: the model has learned little so far."


def epochs(run: Run) -> KeyFigure:
    """The epochs done, of how many."""
    total = run.number("epochs")
    done = max([0.0, *run.steps.epoch[-1:], *run.epochs.epoch[-1:]])
    note = units.plural(run.last_step, "step")
    if run.finished and not run.stop and math.isfinite(total):
        return KeyFigure("Epochs", f"{total:g}", note)
    of = f" of {total:g}" if math.isfinite(total) else ""
    return KeyFigure("Epochs", f"{done:.1f}".removesuffix(".0") + of, note)


def speed(run: Run) -> list[KeyFigure]:
    """How long the run took, and how fast it was; those not known yet are left out."""
    figures: list[KeyFigure] = []
    seconds, left = highest(run.timing.seconds), seconds_left(run)
    if seconds:
        note = f"about {units.duration(left)} left" if left else ""
        figures.append(KeyFigure("Time", units.duration(seconds), note))
    rate, waiting = median(run.timing.images_per_second), mean(run.timing.waiting)
    if math.isfinite(rate):
        figures.append(KeyFigure("Images a second", units.rate(rate), "median"))
    if math.isfinite(waiting):
        figures.append(KeyFigure("Waiting for images", units.percent(waiting), "of the time"))
    return figures


def seconds_left(run: Run) -> float:
    """An estimate from the median speed; 0 where the run is finished or nothing is known."""
    batch, steps = run.number("batch_size"), run.number("steps")
    rate = median(run.timing.images_per_second)
    left = (steps - run.last_step) * batch / rate if rate > 0 else math.nan
    return left if left > 0 and not run.finished else 0.0


def configuration(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """The run's config.json as titled tables of names and values; empty ones are left out."""
    tables = [
        ("Configuration", _rows({k: v for k, v in run.config.items() if k not in ELSEWHERE})),
        ("Options", _rows(run.fact("options"))),
        ("Recipe, as this run used it", _rows(run.fact("recipe"))),
        ("Versions", _rows(run.fact("versions"))),
    ]
    return [(title, rows) for title, rows in tables if rows]


def _rows(values: object, prefix: str = "") -> list[tuple[str, str]]:
    """Names and values; a nested mapping's names are joined with a dot."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", units.cell(value)))
    return rows


def _tail(path: str, generic: tuple[str, ...]) -> str:
    """The last part of a path, and the one before where that alone says nothing."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    alone = bool(parts) and parts[-1].lower() not in generic
    return "/".join(parts[-1:] if alone else parts[-2:])
