"""The report of a pre-training run, by whatever method."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fcmae.console import units
from fcmae.pretraining.methods import method_of
from fcmae.pretraining.neighbours import comparison, neighbours_chart, read_probes
from fcmae.report import summary
from fcmae.report.axes import Axis, linear_axis
from fcmae.report.charts import Chart, Panel, Series, Style
from fcmae.report.curves import loss_panels, rate_panels, stacked
from fcmae.report.json_files import entries, number
from fcmae.report.page import run_page
from fcmae.report.pictures import read_pictures
from fcmae.report.run import Run
from fcmae.report.statistics import highest
from fcmae.report.summary import KeyFigure

# Our own marks: the paper shows that collapsed layers have lower distances and names no threshold.
COLLAPSED, LOW = 0.05, 0.15
MOST_CURVES = 10  # between the first and the last


@dataclass(frozen=True)
class Diversity:
    """The feature diversity of every block after an epoch: mean of (1 - cosine) / 2."""

    epoch: float
    distances: Mapping[str, float]  # by block, "stages.0.0" first


def page(run: Run) -> str:
    """The page, as HTML."""
    measured = read_diversity(run)
    probes = read_probes(run)
    own = {
        "loss": loss_chart(run),
        "diversity": diversity_chart(measured),
        "probes": probes,
        "neighbours": neighbours_chart(run, probes),
        "comparison": comparison(run, probes) if len(probes.epoch) else "",
        "pictures": read_pictures(run.folder / "reconstructions"),
    }
    method = method_of(str(run.fact("method") or "fcmae"), ())  # the first runs did not say
    verdict = [summary.steps_done(run), summary.loss_sentence(run), diversity_sentence(measured)]
    return run_page(method.template, run, verdict, key_figures(run), own)


def key_figures(run: Run) -> list[KeyFigure]:
    """The figures at the top of the page; those not known yet are left out."""
    figures: list[KeyFigure] = []
    ends, images = summary.loss_ends(run), run.number("data", "images")
    if ends:
        figures.append(KeyFigure("Loss", units.loss(ends[1]), f"from {units.loss(ends[0])}"))
    figures.append(summary.epochs(run))
    if math.isfinite(images):
        lost = f"{units.count(len(run.unreadable))} unreadable" if run.unreadable else ""
        figures.append(KeyFigure("Images", units.count(images), lost))
    return figures + summary.speed(run)


def loss_chart(run: Run) -> Chart | None:
    """The loss, with that of guesses where a run says what it is, and under it the learning rate.

    None before the first logged step.
    """
    ends, chance = summary.loss_ends(run), run.number("chance")
    if ends is None:
        return None
    guesses: tuple[Series, ...] = ()
    if math.isfinite(chance):
        level = np.full(2, chance)
        guesses = (Series(Style.FIRST, "guesses", level, places=(0.0, max(1.0, run.last_step))),)
    return stacked(
        [*loss_panels(run, guesses), *rate_panels(run)],
        f"Loss from {units.loss(ends[0])} to {units.loss(ends[1])} over the steps",
    )


def read_diversity(run: Run) -> list[Diversity]:
    """What was measured after each epoch that the run was looked at."""
    return [
        Diversity(
            number(line.get("epoch")),
            {
                str(block.get("block")): number(block.get("distance"))
                for block in entries(line.get("diversity"))
                if isinstance(block, dict)
            },
        )
        for line in run.others.get("look", [])
    ]


def diversity_sentence(measured: Sequence[Diversity]) -> str:
    """Whether the last block's features collapse; nothing before training."""
    if not measured or not measured[-1].epoch > 0:
        return ""
    distances = [value for value in measured[-1].distances.values() if math.isfinite(value)]
    if not distances:
        return ""
    start = f"The last block’s diversity is {distances[-1]:.2f}: "
    if distances[-1] < COLLAPSED:
        return start + "its features have collapsed into copies of each other."
    if distances[-1] < LOW:
        return start + "low, its channels are becoming alike."
    return start + "no sign of collapse."


def diversity_chart(measured: Sequence[Diversity]) -> Chart | None:
    """The feature diversity of every block, first epoch to last; None before any is measured."""
    measured = [one for one in measured if one.distances]
    if not measured:
        return None
    blocks = tuple(measured[-1].distances)
    between = np.linspace(1, len(measured) - 2, min(MOST_CURVES, max(0, len(measured) - 2)))
    shown = [(Style.FAINT, "in between", measured[round(one)]) for one in between]
    shown += [(Style.FIRST, "first look", measured[0])] if len(measured) > 1 else []
    shown += [(Style.STRONG, "last look", measured[-1])]
    values = np.array([[one.distances.get(block, np.nan) for block in blocks] for *_, one in shown])
    last_tips = [
        f"{block}: {distance:.2f}" for block, distance in zip(blocks, values[-1], strict=True)
    ]
    lines = [
        Series(
            style,
            label if len(shown) > 2 else "",
            distances,
            places=range(len(blocks)),
            end="" if style is Style.FAINT else f"epoch {one.epoch:g}",
            tips=last_tips if style is Style.STRONG else (),
        )
        for (style, label, one), distances in zip(shown, values, strict=True)
    ]
    axis = _block_axis(blocks)
    panel = Panel(
        "Feature diversity",
        f"block, {len(blocks)} in {units.plural(len(axis.ticks), 'stage')}",
        series=tuple(lines),
        x=axis,
        y=linear_axis(0, max(0.55, highest(values)), 5),
    )
    description = f"Feature diversity of {len(blocks)} blocks after epoch {measured[-1].epoch:g}"
    return Chart([[panel]], description=description)


def _block_axis(blocks: tuple[str, ...]) -> Axis:
    """Blocks side by side, a rule between two stages, and the stages' names under them."""
    stages = [block.split(".")[1] if block.count(".") > 1 else "" for block in blocks]
    starts = [i for i, stage in enumerate(stages) if i == 0 or stage != stages[i - 1]]
    names = [f"stage {int(name) + 1}" if name.isdecimal() else name for name in stages]
    ticks = tuple(
        ((start + end - 1) / 2, names[start])
        for start, end in zip(starts, [*starts[1:], len(blocks)], strict=True)
    )
    return Axis(-0.5, len(blocks) - 0.5, ticks, rules=tuple(start - 0.5 for start in starts[1:]))
