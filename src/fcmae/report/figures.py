"""The three charts of a report: loss, feature diversity, throughput."""

import math
from dataclasses import dataclass

import numpy as np

from fcmae.console import units
from fcmae.report.axes import Axis, linear_axis, log_axis
from fcmae.report.charts import Horizontal, Line, Panel, chart
from fcmae.report.curves import finite, smooth, thin
from fcmae.report.key_figures import loss_ends
from fcmae.report.read import Look, Run

WIDE, NARROW = 860, 360  # CSS pixels
MOST_DOTS = 30  # with more epochs the running mean says the same
MOST_LOOKS = 10


@dataclass(frozen=True)
class Chart:
    """One figure, drawn for a desktop and for a phone, and what its lines are."""

    wide: str
    narrow: str
    legend: tuple[tuple[str, str], ...]  # a line's class on the page, its meaning


def loss_chart(run: Run) -> Chart | None:
    """The loss, and under it the learning rate; None before the first logged step."""
    ends = loss_ends(run)
    if ends is None:
        return None

    def draw(width: int) -> str:
        panels = (*loss_panels(run, width, _chance(run)), *rate_panels(run, width))
        words = f"Loss from {units.loss(ends[0])} to {units.loss(ends[1])} over the steps"
        return chart(panels, step_axis(run, width), width, words)

    legend = loss_legend(run)
    return Chart(
        draw(WIDE), draw(NARROW), (*legend, ("first", "guesses")) if _chance(run) else legend
    )


def diversity_chart(run: Run) -> Chart | None:
    """The feature diversity of every block, first look to last; None before the first look."""
    looks = [look for look in run.looks if look.distances]
    if not looks:
        return None
    blocks = tuple(looks[-1].distances)
    lines = [_look_line(look, blocks, "faint") for look in _between(looks)]
    if len(looks) > 1:
        lines.append(_look_line(looks[0], blocks, "first"))
    last = _look_line(looks[-1], blocks, "strong")
    tips = tuple(f"{blocks[int(x)]}: {y:.2f}" for x, y in zip(last.x, last.y, strict=True))
    lines += [last, Line(last.x, last.y, "strong", dots=True, tips=tips)]
    highest = max(0.55, *(float(line.y.max(initial=0.0)) for line in lines))

    def draw(width: int) -> str:
        panel = Panel(
            "Feature diversity", linear_axis(0, highest, 5), panel_height(width), tuple(lines)
        )
        words = f"Feature diversity of {len(blocks)} blocks after epoch {looks[-1].epoch:g}"
        return chart((panel,), _block_axis(blocks, width), width, words)

    legend = [("strong", "last look"), ("faint", "in between"), ("first", "first look")]
    return Chart(draw(WIDE), draw(NARROW), tuple(legend if len(looks) > 2 else ()))


def throughput_chart(run: Run) -> Chart | None:
    """Images a second, and under it the share of time spent waiting; None before any timing."""
    step, rate = finite(run.timing.step, run.timing.images_per_second)
    if len(step) == 0:
        return None
    waiting_step, waiting = finite(run.timing.step, run.timing.waiting)

    def draw(width: int) -> str:
        mean = smooth(rate)
        lines = (
            Line(*thin(step, rate, width), "faint"),
            Line(*thin(step, mean, width // 4), "strong", units.rate(mean[-1])),
        )
        axis = linear_axis(0, rate.max(), 4)
        panels = [Panel("Images a second", axis, panel_height(width) * 2 // 3, lines)]
        if len(waiting):
            share = smooth(waiting)
            top = linear_axis(0, max(0.1, waiting.max()), 2, units.percent)
            line = Line(*thin(waiting_step, share, width // 4), "calm", units.percent(share[-1]))
            panels.append(Panel("Time spent waiting for images", top, 64, (line,)))
        words = f"Images a second over the steps, {units.rate(mean[-1])} at the end"
        return chart(tuple(panels), step_axis(run, width), width, words)

    legend = (("strong", "running mean"), ("faint", "single measurements"))
    return Chart(draw(WIDE), draw(NARROW), legend)


def loss_panels(run: Run, width: int, more: tuple[Line, ...] = ()) -> tuple[Panel, ...]:
    """The training loss under the lines of `more`; no panel where there is neither."""
    step, loss = finite(run.steps.step, run.steps.loss)
    lines = (*more, *_epoch_means(run))
    if len(loss):
        mean = smooth(loss)
        strong = Line(*thin(step, mean, width // 4), "strong", units.loss(mean[-1]))
        lines = (Line(*thin(step, loss, width), "faint"), *lines, strong)
    extremes = np.concatenate([loss, *(line.y for line in lines)])
    if len(extremes) == 0:
        return ()
    low, high = float(extremes.min()), float(extremes.max())
    log = low > 0 and high / low > 8
    axis = log_axis(low, high, 6) if log else linear_axis(low, high, 5)
    title = "Loss, logarithmic" if log else "Loss"
    return (Panel(title, axis, panel_height(width), lines),)


def rate_panels(run: Run, width: int) -> tuple[Panel, ...]:
    """The learning rate in a low panel; no panel where it is not logged."""
    step, rate = finite(run.steps.step, run.steps.learning_rate)
    if len(rate) == 0:
        return ()
    axis = linear_axis(0, rate.max(), 2, units.scientific)
    line = Line(*thin(step, rate, width // 4), "calm", units.scientific(rate[-1]))
    return (Panel("Learning rate", axis, 64, (line,)),)


def loss_legend(run: Run, running_mean: str = "running mean") -> tuple[tuple[str, str], ...]:
    """What the lines of the training loss are; `running_mean` names the strong one."""
    legend = [("strong", running_mean), ("faint", "as logged")]
    legend += [("dot", "mean of an epoch, at its middle")] if _epoch_means(run) else []
    return tuple(legend)


def panel_height(width: int) -> int:
    """Pixels of a panel of a drawing of `width`."""
    return 260 if width == WIDE else 200


def step_axis(run: Run, width: int) -> Horizontal:
    """The steps from 0 to the last that anything is known of."""
    last = max([1.0, run.last_step, *run.timing.step[-1:], *run.validations.step[-1:]])
    ticks = min(last, 8 if width == WIDE else 4)  # there are no half steps
    axis = linear_axis(0, last, ticks, units.short, exact=True)
    return Horizontal(axis, "step")


def _chance(run: Run) -> tuple[Line, ...]:
    """The loss of guesses, where a run says what it is."""
    chance = run.number("chance")
    if not math.isfinite(chance):
        return ()
    return (Line(np.array([0.0, max(1.0, run.last_step)]), np.full(2, chance), "first"),)


def _epoch_means(run: Run) -> tuple[Line, ...]:
    """The epochs' mean losses, over the middle of their steps: at the end the loss is lower."""
    epochs = run.epochs
    middle = (epochs.step + np.concatenate([[0.0], epochs.step])[:-1]) / 2  # [E]
    good = np.isfinite(epochs.loss)
    if not 0 < good.sum() <= MOST_DOTS:
        return ()
    tips = tuple(
        f"epoch {epoch:g}: {units.loss(loss)}"
        for epoch, loss in zip(epochs.epoch[good], epochs.loss[good], strict=True)
    )
    return (Line(middle[good], epochs.loss[good], "strong", dots=True, tips=tips),)


def _look_line(look: Look, blocks: tuple[str, ...], style: str) -> Line:
    values = np.array([look.distances.get(block, np.nan) for block in blocks])
    place, distance = finite(np.arange(len(blocks), dtype=np.float64), values)
    label = "" if style == "faint" else f"epoch {look.epoch:g}"
    return Line(place, distance, style, label)


def _between(looks: list[Look]) -> list[Look]:
    """At most `MOST_LOOKS` of the looks after the first and before the last, evenly spread."""
    places = np.linspace(1, len(looks) - 2, min(MOST_LOOKS, max(0, len(looks) - 2)))
    return [looks[round(place)] for place in places]


def _block_axis(blocks: tuple[str, ...], width: int) -> Horizontal:
    """Blocks side by side, an upright between two stages, and the stages' names under them."""
    stages = [block.split(".")[1] if block.count(".") > 1 else "" for block in blocks]
    starts = [i for i, stage in enumerate(stages) if i == 0 or stage != stages[i - 1]]
    ends = [*starts[1:], len(blocks)]
    ticks = tuple(
        ((start + end - 1) / 2, _stage_name(stages[start], (end - start) / len(blocks) * width))
        for start, end in zip(starts, ends, strict=True)
    )
    axis = Axis(-0.5, len(blocks) - 0.5, ticks)
    name = f"block, {len(blocks)} in {units.plural(len(starts), 'stage')}"
    return Horizontal(axis, name, tuple(start - 0.5 for start in starts[1:]))


def _stage_name(stage: str, room: float) -> str:
    number = str(int(stage) + 1) if stage.isdecimal() else stage
    return f"stage {number}" if room > 80 else number
