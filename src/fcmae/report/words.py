"""What the numbers of a run say, in words."""

import math
import re
from datetime import datetime

import numpy as np

from fcmae.console import units
from fcmae.report.key_figures import loss_ends
from fcmae.report.read import Look, Run

# Our own marks: the paper shows that collapsed layers have lower distances and names no threshold.
COLLAPSED, LOW = 0.05, 0.15
GENERIC = ("train", "val", "test", "images", "data")  # folder names that say nothing alone
WEIGHTS = ("weights.safetensors", "best.safetensors")  # likewise, of every run


def model(run: Run) -> str:
    """The model's name."""
    return str(run.fact("model", "name") or "a model")


def data(run: Run) -> str:
    """The data's name: the last part of its path, of `flowers/train` both."""
    return _tail(str(run.fact("data", "path") or ""), GENERIC) or "unnamed images"


def table(run: Run) -> str:
    """The table of the paper that the run is compared with."""
    unnamed = "its table" if run.fact("task") == "finetune" else "Table 1"
    return str(run.fact("table") or unnamed)


def compared(run: Run) -> str:
    """The same, with the paper's name where it is a table of it."""
    return table(run) + ("" if contrastive(run) else " of the ConvNeXt V2 paper")


def contrastive(run: Run) -> bool:
    """Whether views of images are told apart, rather than masked patches reconstructed."""
    return run.fact("method") == "moco-v3"


def setting(run: Run) -> list[str]:
    """The line under the title: size, first weights, mask, device, day."""
    parts: list[str] = []
    parameters = run.number("model", "parameters")
    if math.isfinite(parameters):
        parts.append(f"{units.short(float(f'{parameters:.3g}'))} parameters")
    if run.pictures.height:
        parts.append(f"{run.pictures.height} × {run.pictures.width} px")
    parts += _beginning(run)
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
    sentences = [how_far(run), loss_sentence(run)]
    if run.looks and run.looks[-1].epoch > 0:  # before training there is nothing to judge
        sentences.append(_diversity_sentence(run.looks[-1]))
    return " ".join(sentence for sentence in sentences if sentence)


def how_far(run: Run) -> str:
    """How many of the steps are done; nothing of a finished run."""
    if run.finished:
        return ""
    steps = run.number("steps")
    if math.isnan(steps):
        return f"Step {units.count(run.last_step)}."
    share = units.percent(math.floor(100 * progress(run)) / 100)  # 100 % only when it is done
    return f"Step {units.count(run.last_step)} of {units.count(steps)} ({share})."


def broken(run: Run) -> str:
    """Where the loss was no number, as the beginning of a sentence; nothing of a sound run."""
    steps = run.steps.step[~np.isfinite(run.steps.loss)]
    if len(steps) == 0:
        return ""
    return (
        f"The loss was not a finite number at step {units.count(steps[0])}, the first of "
        f"{units.count(len(steps))}"
    )


def loss_sentence(run: Run) -> str:
    """How the loss went."""
    ends = loss_ends(run)
    if broken(run):
        return f"{broken(run)}: what the model learned is lost; lower the learning rate."
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


def _tail(path: str, generic: tuple[str, ...]) -> str:
    """The last part of a path, and the one before where that alone says nothing."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    says_nothing = bool(parts) and parts[-1].lower() in generic
    return "/".join(parts[-2:] if says_nothing else parts[-1:])


def _beginning(run: Run) -> list[str]:
    """What a fine-tuning began from, and with what share of the labels."""
    parts: list[str] = []
    first = run.fact("init")
    if first:
        parts.append("from scratch" if first == "scratch" else f"from {_tail(str(first), WEIGHTS)}")
    share = run.number("label_share")
    if share < 1:
        parts.append(f"{units.percent(share)} of the labels")
    return parts


def _span(run: Run) -> str:
    total = run.number("epochs")
    if run.finished and math.isfinite(total):
        return f" over {units.plural(total, 'epoch')} ({units.plural(run.last_step, 'step')})"
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
