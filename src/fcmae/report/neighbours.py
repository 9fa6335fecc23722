"""How well nearest neighbours tell classes as pre-training goes on: the curve, and what it says."""

import math

import numpy as np

from fcmae.console import units
from fcmae.report.axes import linear_axis
from fcmae.report.charts import Horizontal, Line, Panel, chart
from fcmae.report.curves import Array
from fcmae.report.figures import MOST_DOTS, NARROW, WIDE, Chart, panel_height
from fcmae.report.finetuning.accuracy import interval
from fcmae.report.read import Probes, Run

UNTRAINED = "untrained"


def neighbours_chart(run: Run) -> Chart | None:
    """The accuracy over the epochs, over that before the first; None where none is measured."""
    probes = run.probes
    if len(probes.epoch) == 0:
        return None
    lines = _lines(probes, before(run))
    values = np.concatenate([line.y for line in lines])
    low, high = max(0.0, values.min() - 1), min(100.0, values.max() + 1)

    def draw(width: int) -> str:
        panel = Panel("kNN accuracy (%)", linear_axis(low, high, 5), panel_height(width), lines)
        last = max(1.0, float(probes.epoch[-1]))
        ticks = min(last, 8 if width == WIDE else 4)  # there are no half epochs
        axis = linear_axis(0, last, ticks, units.short, exact=True)
        words = f"kNN accuracy over the epochs, {units.accuracy(probes.accuracy[-1])} at the end"
        return chart((panel,), Horizontal(axis, "epoch"), width, words)

    legend = [("strong", "kNN accuracy"), ("faint", "95 % interval")]
    legend += [("first", before(run))] if _starts(probes) else []
    return Chart(draw(WIDE), draw(NARROW), tuple(legend))


def explanation(run: Run) -> str:
    """What is measured."""
    probes = run.probes
    k, train = (units.count(values[-1]) for values in (probes.k, probes.train_images))
    return (
        f"How many of {units.count(probes.images[-1])} validation images have the class that their "
        f"{k} nearest of {train} labelled images vote for. Near is what the encoder’s features "
        "make so: nothing is trained on labels. Good: it climbs away from where it began."
    )


def verdict(run: Run) -> str:
    """One sentence: whether the last accuracy is better than that before the first epoch."""
    probes = run.probes
    start = "the untrained network" if before(run) == UNTRAINED else "the network at the start"
    last = units.accuracy(probes.accuracy[-1])
    if not _starts(probes):
        return f"There is no accuracy before the first epoch to compare {last} with."
    if len(probes.epoch) == 1:
        return f"So far only {start} is measured: {last}."
    numbers = (
        f"{last} after epoch {probes.epoch[-1]:g} against {units.accuracy(probes.accuracy[0])}"
    )
    low, high = difference_interval(
        (float(probes.accuracy[-1]), int(probes.images[-1])),
        (float(probes.accuracy[0]), int(probes.images[0])),
    )
    images = units.plural(probes.images[-1], "image")
    if low <= 0 <= high:
        return (
            f"Not shown to be better than {start}: {numbers}, which chance may explain with "
            f"{images}."
        )
    word = "Better" if low > 0 else "Worse"
    return f"{word} than {start}: {numbers}, more than chance explains with {images}."


def before(run: Run) -> str:
    """What the network before the first epoch is called in the chart."""
    return UNTRAINED if run.fact("init") in (None, "scratch") else "start"


def difference_interval(ours: tuple[float, int], theirs: tuple[float, int]) -> tuple[float, float]:
    """The 95 % interval of a difference between two shares, from Wilson's intervals of each.

    Newcombe, "Interval estimation for the difference between independent proportions", Statistics
    in Medicine 1998, method 10. Two measurements on the same images are seldom further apart than
    two on different ones, so it is rather too wide.

    Args:
        ours: a share, 0 to 1, and the number of images it is of.
        theirs: what is taken from it, likewise.

    Returns:
        Its lower and its upper end, -1 to 1.
    """
    (one, other), (one_ends, other_ends) = (
        (ours[0], theirs[0]),
        (interval(*ours), interval(*theirs)),
    )
    down = math.hypot(one - one_ends[0], other_ends[1] - other)
    up = math.hypot(one_ends[1] - one, other - other_ends[0])
    return one - other - down, one - other + up


def _starts(probes: Probes) -> bool:
    return bool(probes.epoch[0] == 0)


def _lines(probes: Probes, start: str) -> tuple[Line, ...]:
    """The interval, the accuracy before the first epoch, and the accuracies, in per cent."""
    epoch, accuracy = probes.epoch, 100 * probes.accuracy
    ends: Array = 100 * np.array(
        [
            interval(float(share), int(images))
            for share, images in zip(probes.accuracy, probes.images, strict=True)
        ]
    )  # [P, 2]
    lines = [Line(epoch, ends[:, 0], "faint"), Line(epoch, ends[:, 1], "faint")]
    if _starts(probes) and len(epoch) > 1:
        level = np.full(2, accuracy[0])
        lines.append(Line(epoch[[0, -1]], level, "first", start))
    lines.append(Line(epoch, accuracy, "strong", units.accuracy(probes.accuracy[-1])))
    if len(epoch) <= MOST_DOTS:
        tips = tuple(
            f"epoch {number:g}: {units.accuracy(share)}"
            for number, share in zip(epoch, probes.accuracy, strict=True)
        )
        lines.append(Line(epoch, accuracy, "strong", dots=True, tips=tips))
    if _starts(probes):
        tips = (f"{start}: {units.accuracy(probes.accuracy[0])}",)
        lines.append(Line(epoch[:1], accuracy[:1], "first", dots=True, tips=tips))
    return tuple(lines)
