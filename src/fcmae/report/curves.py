"""The curves of any run over its steps: loss, learning rate, throughput."""

import numpy as np

from fcmae.console import units
from fcmae.report.axes import Axis, linear_axis, log_axis
from fcmae.report.charts import Chart, Panel, Series, Style
from fcmae.report.json_files import number
from fcmae.report.run import Run
from fcmae.report.statistics import finite, highest, smooth

MOST_MARKS = 30  # with more epochs the running mean says the same
LOW = 64  # pixels, of a panel under another


def loss_panels(
    run: Run, more: tuple[Series, ...] = (), running_mean: str = "running mean"
) -> list[Panel]:
    """The training loss under the series of `more`; no panel where there is neither.

    Args:
        run: the run.
        more: drawn between the loss as it is logged and its running mean.
        running_mean: what the legend calls the latter.
    """
    step, loss = finite(run.steps.step, run.steps.loss)
    series = (*more, *_epoch_means(run))
    if len(loss):
        mean = smooth(loss)
        last = units.loss(mean[-1])
        strong = Series(Style.STRONG, running_mean, mean, places=step, end=last)
        series = (Series(Style.FAINT, "as logged", loss, places=step), *series, strong)
    values = np.concatenate([[], *(one.values for one in series)])
    if len(values) == 0:
        return []
    low, high = float(values.min()), float(values.max())
    log = low > 0 and high / low > 8
    axis = log_axis(low, high, 6) if log else linear_axis(low, high, 5)
    title = "Loss, logarithmic" if log else "Loss"
    return [Panel(title, "step", series=series, x=step_axis(run), y=axis)]


def rate_panels(run: Run) -> list[Panel]:
    """The learning rate in a low panel; no panel where it is not logged."""
    step, rate = finite(run.steps.step, run.steps.learning_rate)
    if len(rate) == 0:
        return []
    axis = linear_axis(0, rate.max(), 2, units.scientific)
    line = Series(Style.CALM, "", rate, places=step, end=units.scientific(rate[-1]))
    return [Panel("Learning rate", "step", series=(line,), x=step_axis(run), y=axis, height=LOW)]


def throughput_chart(run: Run) -> Chart | None:
    """Images a second, and under it the share of time spent waiting; None before any timing."""
    step, rate = finite(run.timing.step, run.timing.images_per_second)
    if len(step) == 0:
        return None
    axis, mean = step_axis(run), smooth(rate)
    last = units.rate(mean[-1])
    lines = (
        Series(Style.FAINT, "single measurements", rate, places=step),
        Series(Style.STRONG, "running mean", mean, places=step, end=last),
    )
    speed = linear_axis(0, rate.max(), 4)
    panels = [Panel("Images a second", "step", series=lines, x=axis, y=speed, height=173)]
    step, waiting = finite(run.timing.step, run.timing.waiting)
    if len(waiting):
        share = smooth(waiting)
        line = Series(Style.CALM, "", share, places=step, end=units.percent(share[-1]))
        shares = linear_axis(0, max(0.1, waiting.max()), 2, units.percent)
        title = "Time spent waiting for images"
        panels.append(Panel(title, "step", series=(line,), x=axis, y=shares, height=LOW))
    return stacked(panels, f"Images a second over the steps, {last} at the end")


def stacked(panels: list[Panel], description: str) -> Chart:
    """Panels one above the other."""
    return Chart([[panel] for panel in panels], description=description)


def step_axis(run: Run) -> Axis:
    """The steps from 0 to the last that anything is known of."""
    others = [number(line.get("step")) for lines in run.others.values() for line in lines]
    return whole_numbers(highest(np.array([run.last_step, *run.timing.step[-1:], *others])))


def whole_numbers(last: float) -> Axis:
    """From 0 to `last` or 1; there are no half steps and epochs."""
    last = max(1.0, last)
    return linear_axis(0, last, min(last, 8), units.short, exact=True)


def _epoch_means(run: Run) -> tuple[Series, ...]:
    """The epochs' mean losses, over the middle of their steps: at the end the loss is lower."""
    epochs = run.epochs
    middle = (epochs.step + np.concatenate([[0.0], epochs.step])[:-1]) / 2  # [E]
    good = np.isfinite(epochs.loss)
    if not 0 < good.sum() <= MOST_MARKS:
        return ()
    tips = tuple(
        f"epoch {epoch:g}: {units.loss(loss)}"
        for epoch, loss in zip(epochs.epoch[good], epochs.loss[good], strict=True)
    )
    label = "mean of an epoch, at its middle"
    return (
        Series(Style.STRONG, label, epochs.loss[good], places=middle[good], marks=True, tips=tips),
    )
