"""kNN accuracy during pre-training: its curve, and the sentence about it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fcmae.console import units
from fcmae.report.axes import linear_axis
from fcmae.report.charts import Chart, Panel, Series, Style
from fcmae.report.curves import MOST_MARKS, whole_numbers
from fcmae.report.json_files import columns, entries, number, share
from fcmae.report.run import Run
from fcmae.report.statistics import Array, interval

UNTRAINED = "untrained"


@dataclass(frozen=True)
class Probes:
    """kNN accuracies as the run went on; every array is [P], ascending, without gaps."""

    step: Array
    epoch: Array
    k: Array
    accuracy: Array  # 0 to 1
    train_images: Array  # among which neighbours were looked for
    images: Array  # that were classified

    @property
    def begun(self) -> bool:
        """Whether there is an accuracy before the first epoch."""
        return bool(self.epoch[0] == 0)


def read_probes(run: Run) -> Probes:
    """What was measured; a line of which a part is missing has nothing to show."""

    def measured() -> Iterator[dict[str, object]]:
        for line in run.others.get("probe", []):
            counts = [number(count) for count in entries(line.get("images"))]
            accuracy = share(line.get("top_1"))
            known = (*counts, accuracy, number(line.get("epoch")), number(line.get("k")))
            if len(counts) == 2 and counts[1] >= 1 and all(map(math.isfinite, known)):
                train, images = counts
                yield {**line, "accuracy": accuracy, "train_images": train, "images": images}

    return columns(Probes, measured())


def neighbours_chart(run: Run, probes: Probes) -> Chart | None:
    """The accuracy over the epochs, over that before the first; None where none is measured."""
    if len(probes.epoch) == 0:
        return None
    epoch, accuracy = probes.epoch, 100 * probes.accuracy
    ends: Array = 100 * np.array(
        [
            interval(float(one), int(images))
            for one, images in zip(probes.accuracy, probes.images, strict=True)
        ]
    )  # [P, 2]
    last = units.accuracy(probes.accuracy[-1])
    lines = [
        Series(Style.FAINT, "95 % interval", ends[:, 0], places=epoch),
        Series(Style.FAINT, "95 % interval", ends[:, 1], places=epoch),
    ]
    start = start_of(run)
    if probes.begun and len(epoch) > 1:
        level = np.full(2, accuracy[0])
        lines.append(Series(Style.FIRST, start, level, places=epoch[[0, -1]], end=start))
    tips = [
        f"epoch {number:g}: {units.accuracy(one)}"
        for number, one in zip(epoch, probes.accuracy, strict=True)
        if len(epoch) <= MOST_MARKS
    ]
    lines.append(Series(Style.STRONG, "kNN accuracy", accuracy, places=epoch, end=last, tips=tips))
    if probes.begun:
        tips = [f"{start}: {units.accuracy(probes.accuracy[0])}"]
        lines.append(Series(Style.FIRST, "", accuracy[:1], places=epoch[:1], marks=True, tips=tips))
    values = np.concatenate([line.values for line in lines])
    panel = Panel(
        "kNN accuracy (%)",
        "epoch",
        series=tuple(lines),
        x=whole_numbers(float(epoch[-1])),
        y=linear_axis(max(0.0, values.min() - 1), min(100.0, values.max() + 1), 5),
    )
    return Chart([[panel]], description=f"kNN accuracy over the epochs, {last} at the end")


def comparison(run: Run, probes: Probes) -> str:
    """One sentence: whether the last accuracy is better than that before the first epoch."""
    start = "the untrained network" if start_of(run) == UNTRAINED else "the network at the start"
    last = units.accuracy(probes.accuracy[-1])
    if not probes.begun:
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


def start_of(run: Run) -> str:
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
    one, other = ours[0], theirs[0]
    (one_low, one_high), (other_low, other_high) = interval(*ours), interval(*theirs)
    down = math.hypot(one - one_low, other_high - other)
    up = math.hypot(one_high - one, other - other_low)
    return one - other - down, one - other + up
