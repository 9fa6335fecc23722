"""The chart of a fine-tuning run: loss over accuracy over learning rate, on one axis of steps."""

import dataclasses
from collections.abc import Callable

import numpy as np

from fcmae.console import units
from fcmae.report.axes import linear_axis
from fcmae.report.charts import Line, Panel, chart
from fcmae.report.curves import Array, finite, thin
from fcmae.report.figures import (
    NARROW,
    WIDE,
    Chart,
    loss_legend,
    loss_panels,
    panel_height,
    rate_panels,
    step_axis,
)
from fcmae.report.finetuning.accuracy import best
from fcmae.report.read import Run


def learning_chart(run: Run) -> Chart | None:
    """The losses, under them the accuracies, the best epoch marked; None before any is logged."""
    found = best(run)
    if not (loss_panels(run, WIDE, _loss_lines(run, WIDE)) or _accuracy_panels(run, WIDE)):
        return None

    def draw(width: int) -> str:
        panels = (
            *loss_panels(run, width, _loss_lines(run, width)),
            *_accuracy_panels(run, width),
            *rate_panels(run, width),
        )
        axis = dataclasses.replace(step_axis(run, width), dividers=_best_step(run))
        at_best = f", at best {units.accuracy(found.accuracy)}" if found else ""
        return chart(panels, axis, width, f"Loss and accuracy over the steps{at_best}")

    legend = loss_legend(run, "training")
    looks = {line.look for line in _loss_lines(run, WIDE)}
    legend += (("second", "validation"),) if "second" in looks else ()
    legend += (("third", "validation, averaged weights"),) if "third" in looks else ()
    return Chart(draw(WIDE), draw(NARROW), legend)


def _loss_lines(run: Run, width: int) -> tuple[Line, ...]:
    validations = run.validations
    return _lines(run, width, validations.loss, validations.average_loss, units.loss)


def _accuracy_panels(run: Run, width: int) -> tuple[Panel, ...]:
    """The accuracies in per cent, with a mark on the best."""
    validations = run.validations
    lines = _lines(
        run,
        width,
        100 * validations.accuracy,
        100 * validations.average_accuracy,
        lambda value: units.accuracy(value / 100),
    )
    if not lines:
        return ()
    found, step = best(run), _best_step(run)
    title = "Accuracy on validation images (%)"
    if found and step:
        look = "third" if found.averaged else "second"
        tip = f"epoch {found.epoch:g}: {units.accuracy(found.accuracy)}"
        place = np.array([100 * found.accuracy])
        lines += (Line(np.array(step), place, f"{look} best", dots=True, tips=(tip,)),)
    values = np.concatenate([line.y for line in lines])
    low, high = max(0.0, values.min() - 1), min(100.0, values.max() + 1)
    return (Panel(title, linear_axis(low, high, 5), panel_height(width), lines),)


def _lines(
    run: Run, width: int, model: Array, average: Array, label: Callable[[float], str]
) -> tuple[Line, ...]:
    """One line for the model [V] and one for its averaged weights [V], those that there are."""
    lines = []
    for values, look in ((model, "second"), (average, "third")):
        step, known = finite(run.validations.step, values)
        if len(step):
            lines.append(Line(*thin(step, known, width // 4), look, label(known[-1])))
    return tuple(lines)


def _best_step(run: Run) -> tuple[float, ...]:
    """Where the best epoch ended; nothing where that is unknown."""
    found = best(run)
    steps = run.validations.step[run.validations.epoch == found.epoch] if found else ()
    return tuple(float(step) for step in steps[:1])
