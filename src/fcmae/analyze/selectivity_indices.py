"""Class selectivity of every block's channels, models drawn over each other (figure 2)."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from fcmae.analyze.analysis import BlockAnalysis, Column, start, table_of
from fcmae.analyze.images import drawn
from fcmae.analyze.models import AnalyzedBackbone, Result, read_backbones, thirds, v1_and_v2
from fcmae.commands.analyze import Selectivity
from fcmae.console.screen import shown
from fcmae.images import Labelled, epoch_order
from fcmae.inference.evaluate import open_data
from fcmae.probes.selectivity import (
    ClassMeans,
    Values,
    activities,
    density,
    distance,
    selectivity_index,
)
from fcmae.report.charts import Chart, Panel, Series
from fcmae.report.findings import Finding
from fcmae.report.record import Record, Row
from fcmae.report.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED, Difference, verdict
from fcmae.sizes import size_of
from fcmae.storage.atomic import save_tensors
from fcmae.storage.digest import digest

GENERIC, SELECTIVE = 0.2, 0.5  # channels with an index below the one and above the other
POINTS = np.linspace(0, 1, 101)  # of a density
MAX_PLOTS = 12  # of more blocks three a stage are drawn
PLOT_HEIGHT = 2.2  # inches
MATCH = 0.5  # of what the deep blocks differ by beyond chance: so little counts as a match
SHUFFLES = 200
MAX_CHANCE = 0.5  # of a mean index; where chance alone gives more, nothing is decided
PAPER = (
    "In the paper (appendix C, figure 2: a V1 and a V2 after pre-training, ImageNet’s validation "
    "images) the two match in the early stages and part in the deep ones, as in layer 12 of stage "
    "3: there V1 has one peak, and V2 two, with more channels that are generic to classes."
)
READING = (
    "Each panel is a residual block’s output: stages.2.1 is the second block of the third stage. "
    "To the right are channels that answer to one class alone, with a class selectivity index of "
    "1; to the left those that answer to all alike, 0. The curves are densities over channels, by "
    "normal kernels.",
    "The index is (a − b) / (a + b): a is the largest of a channel’s mean activities by class, b "
    "the mean of those of all other classes. An activity is the mean over space of {activity}, "
    "since the output of a block has both signs. Channels without any activity have no index: they "
    "are counted as silent, and left out of everything else.",
    "With few images a class, chance alone makes channels look selective: compare an index with "
    "what the same activities give where the images’ classes are shuffled, in the column by "
    "chance.",
)
ACTIVITIES = {"rectified": "max(x, 0), as behind a ReLU", "absolute": "|x|"}
RULE = (
    "The first V1 and the first V2 are compared. Their distance in the first and in the last third "
    "of the blocks is compared with that of channels which are dealt out to the two models by "
    f"chance, {SHUFFLES} times. That they match early and part with depth counts as reproduced "
    "where the distance in the last third is the larger one and beyond 97.5 % of these, and the "
    "first third exceeds the mean of its own by at most half as much; as not reproduced where the "
    "first third is beyond its own, and exceeds it by more than the last third does. That V2 is "
    "more generic there "
    f"counts as reproduced where its share of channels below {GENERIC} in the last third is larger "
    "than V1’s by more than two standard errors, and as not reproduced where it is smaller by as "
    "much. Anything else is not decidable, and so is all where shuffled classes give a mean index "
    "in the last third that is more than half of the true one. Two models of two trainings are "
    "compared: others may differ."
)
COLUMNS: Mapping[str, Column] = {
    "channels": ("channels", str),
    "silent": ("silent", str),
    "mean": ("mean", "{:.2f}".format),
    "median": ("median", "{:.2f}".format),
    f"below {GENERIC}": (f"below_{GENERIC}", "{:.0%}".format),
    f"above {SELECTIVE}": (f"above_{SELECTIVE}", "{:.0%}".format),
    "by chance": ("mean_by_chance", "{:.2f}".format),
    "distance": ("distance", "{:.3f}".format),
}
CAPTION = (
    "Shares and means are of the channels that are not silent. The distance is the Wasserstein "
    "distance from the distribution of {first} in the same block: the mean way that an index has "
    "to go."
)


@dataclass(frozen=True, slots=True)
class ModelSelectivity(Result):
    """A model's blocks, in order: a row each, and the index of every channel.

    Attributes:
        rows: what was found.
        indices: float64 [C] by block; NaN for channels that are silent.
    """

    rows: list[Row]
    indices: Mapping[str, Tensor]

    def active(self, *blocks: str) -> Values:
        """The indices of the channels of these blocks that are not silent."""
        index = torch.cat([self.indices[block] for block in blocks])
        return index[~index.isnan()].numpy()


def run_selectivity(options: Selectivity) -> Path:
    """Run `analyze selectivity` with these options."""
    runtime = start("selectivity", options.device, options.precision)
    activities(torch.zeros(1, 1, 1, 1), options.activity)  # refuse an unknown one first of all
    whole = open_data(str(options.data), options.split)
    images = whole.subset(drawn(whole, options.num_images))
    models = read_backbones(options.weights, options, runtime.device)
    check_depths(models)
    if options.num_images is not None and len(set(images.labels)) < 2:
        raise ValueError(
            f"num_images {options.num_images}: all that are drawn are of one class, and "
            "selectivity is of one class against the others: take more"
        )
    measured = {"activity": options.activity}
    analysis = BlockAnalysis("selectivity", options, runtime, models, images, measured)
    results = [selectivity_of(model, analysis, options.activity) for model in models]
    add_distances(results, analysis.record)
    return analysis.publish(page(results, options.activity))


def check_depths(models: Sequence[AnalyzedBackbone]) -> None:
    """Refuse models whose blocks cannot be laid over each other one by one."""
    depths = {model.label: size_of(model.architecture).depths for model in models}
    if len(set(depths.values())) > 1:
        listed = ", ".join(f"{label} has {shown(depth)}" for label, depth in depths.items())
        raise ValueError(
            f"weights: {listed} blocks in the four stages, and they are laid over each other block "
            "by block: give models with as many"
        )


def selectivity_of(
    model: AnalyzedBackbone, analysis: BlockAnalysis, activity: str
) -> ModelSelectivity:
    """A model as it was measured before in the same way, or else now."""
    key = analysis.key(model)
    name = digest(json.dumps(value).encode() for value in key.values())
    path = analysis.record.path.parent / "indices" / f"{name}.safetensors"
    rows = analysis.kept_rows(model) if path.exists() else []
    if not rows:
        measured, indices = measure(model, analysis, activity)
        path.parent.mkdir(exist_ok=True)
        save_tensors(path, indices, key)
        rows = analysis.keep_rows(model, measured)
    stored = load_file(path)
    return ModelSelectivity(model, rows, {block: stored[block].double() for block in model.blocks})


def measure(
    model: AnalyzedBackbone, analysis: BlockAnalysis, activity: str
) -> tuple[list[Row], dict[str, Tensor]]:
    """A row a block, and by block the index of every channel, float32 [C].

    What is kept while the model runs over the images does not grow with their number.

    Raises:
        ValueError: if fewer than two classes have images that can be read.
    """
    images = analysis.images
    assert isinstance(images, Labelled)
    labels = torch.tensor(images.labels)
    # The same activities under shuffled labels: what chance alone makes of so few images a class.
    shuffled = labels[epoch_order(len(labels), seed=1, epoch=0)]
    widths = [model.backbone.widths[int(block.split(".")[1])] for block in model.blocks]
    means, chance = (ClassMeans(len(images.classes), sum(widths)) for _ in range(2))
    unreadable = 0
    for output in analysis.outputs(model, lambda x: activities(x, activity)):
        unreadable += len(output.unreadable)
        for values in output.tensors:
            means.add(values, labels[output.indices])
            chance.add(values, shuffled[output.indices])
    indices, by_chance = (
        torch.split(selectivity_index(found.means()).float(), widths) for found in (means, chance)
    )
    counts = means.counts[means.counts > 0]
    counted = {
        "images": int(counts.sum()),
        "unreadable": unreadable,
        "classes": len(counts),
        "fewest_images_of_a_class": int(counts.min()),
    }
    rows = [
        {"block": block, **counted, **summarise(index), "mean_by_chance": _mean(random)}
        for block, index, random in zip(model.blocks, indices, by_chance, strict=True)
    ]
    return rows, dict(zip(model.blocks, indices, strict=True))


def summarise(index: Tensor) -> Row:
    """A distribution of indices [C] in a few numbers; shares are of channels that are not silent.

    None for all but the counts where every channel is silent.
    """
    active = index[~index.isnan()].double()
    counts: Row = {"channels": len(index), "silent": len(index) - len(active)}
    names = ("mean", "median", f"below_{GENERIC}", f"above_{SELECTIVE}")
    if not len(active):
        return counts | dict.fromkeys(names)
    shares = (active < GENERIC).double().mean(), (active > SELECTIVE).double().mean()
    values = (active.mean(), active.quantile(0.5), *shares)
    return counts | {name: value.item() for name, value in zip(names, values, strict=True)}


def add_distances(results: Sequence[ModelSelectivity], record: Record) -> None:
    """Say in the rows how far each block's distribution is from that of the first model."""
    first = results[0]
    for result in results:
        for row in result.rows:
            pair = first.active(row["block"]), result.active(row["block"])
            compared = result is not first and all(map(len, pair))
            row["distance"] = distance(*pair) if compared else None
            row["distance_from"] = first.model.title if compared else None
            record.add(row)


class Distance(NamedTuple):
    """How far two models are apart, averaged over some blocks, and what chance alone gives."""

    observed: float
    chance: float  # the mean
    limit: float  # which chance exceeds 1 time in 40

    @property
    def excess(self) -> float:
        """Beyond the mean of chance."""
        return self.observed - self.chance


def compare(v1: ModelSelectivity, v2: ModelSelectivity) -> list[str]:
    """What each of the paper's statements comes to."""
    pair = (v1, v2)
    early, deep = thirds(list(v1.indices))
    if not all(len(result.active(block)) for result in pair for block in result.indices):
        return [f"The paper’s statements are {UNDECIDED}: all channels of a block are silent."]
    if max(chance_share(result, deep) for result in pair) > MAX_CHANCE:
        return [
            f"The paper’s statements are {UNDECIDED}, with so few images a class: shuffled "
            "classes make channels look more than half as selective."
        ]
    near, far = (distance_over(v1, v2, blocks) for blocks in (early, deep))
    generic = [result.active(*deep) < GENERIC for result in pair]
    share_1, share_2 = (float(each.mean()) for each in generic)
    errors = (each.std() / math.sqrt(len(each)) for each in generic)
    more = verdict([Difference(share_2 - share_1, math.hypot(*errors)).above])
    return [
        f"V1 and V2 match early and part with depth: {part_with_depth(near, far)} (distance "
        f"{near.observed:.3f} in the first {len(early)} blocks, {far.observed:.3f} in the last "
        f"{len(deep)}; by chance {near.chance:.3f} and {far.chance:.3f}).",
        f"V2 has more class-generic channels in deep layers: {more} ({share_2:.0%} of V2’s "
        f"channels have an index below {GENERIC} in the last {len(deep)} blocks, {share_1:.0%} "
        "of V1’s).",
    ]


def part_with_depth(near: Distance, far: Distance) -> str:
    """Whether two models match early and part with depth."""
    if far.observed > max(far.limit, near.observed) and near.excess <= MATCH * far.excess:
        return REPRODUCED
    if near.observed > near.limit and near.excess > far.excess:
        return NOT_REPRODUCED
    return UNDECIDED


def distance_over(
    one: ModelSelectivity, other: ModelSelectivity, blocks: Sequence[str]
) -> Distance:
    """The mean distance over blocks: as it is, and of channels dealt out by chance.

    A permutation test, since a Wasserstein distance is never negative: two samples of the same
    distribution are some distance apart too, the more so the smaller they are, and an interval
    around what is observed says nothing of that. Its limit is one-sided, at 2.5 %.
    """
    samples = [(one.active(block), other.active(block)) for block in blocks]
    observed = float(np.mean([distance(*pair) for pair in samples]))
    generator = np.random.default_rng(0)
    shuffled = []
    for _ in range(SHUFFLES):
        dealt = [(generator.permutation(np.concatenate(pair)), len(pair[0])) for pair in samples]
        shuffled.append(np.mean([distance(all_[:n], all_[n:]) for all_, n in dealt]))
    return Distance(observed, float(np.mean(shuffled)), float(np.quantile(shuffled, 0.975)))


def chance_share(result: ModelSelectivity, blocks: Sequence[str]) -> float:
    """What shuffled classes give, as a share of the mean index."""
    rows = [row for row in result.rows if row["block"] in blocks]
    chance, true = (sum(row[name] or 0 for row in rows) for name in ("mean_by_chance", "mean"))
    return chance / true if true else math.inf


def summary(results: Sequence[ModelSelectivity]) -> str:
    """What was measured, and what models are like in their last third."""
    row = results[0].rows[0]
    left_out = f" ({row['unreadable']} more could not be read)" if row["unreadable"] else ""
    text = f"Measured on {row['images']:,} images of {row['classes']} classes{left_out}."
    for result in results:
        _, deep = thirds(list(result.indices))
        if len(index := result.active(*deep)):
            text += (
                f" {result.model.title}: a mean index of {index.mean():.2f} in the last "
                f"{len(deep)} blocks, with {(index < GENERIC).mean():.0%} of the channels below "
                f"{GENERIC}."
            )
    return text


def page(results: Sequence[ModelSelectivity], activity: str) -> Finding:
    """What is shown."""
    pair = v1_and_v2(results)
    statements = compare(*pair) if pair else []
    by_block = zip(*(result.rows for result in results), strict=True)
    rows = [(f"{row['block']} · {row['label']}", row) for rows in by_block for row in rows]
    return Finding(
        kind="The paper’s figure 2, measured here",
        title="Class selectivity",
        shows=[*statements, summary(results), PAPER],
        figure=Chart(density_plots(results), height=PLOT_HEIGHT),
        alternative="densities of the class selectivity index of blocks, as in the table",
        reading=[
            *(text.format(activity=ACTIVITIES[activity]) for text in READING),
            *([RULE] if statements else []),
        ],
        table=table_of("block", rows, COLUMNS, CAPTION.format(first=results[0].model.title)),
    )


def density_plots(results: Sequence[ModelSelectivity]) -> list[list[Panel]]:
    """A plot a block, all of them or three of each stage, four or three in a row."""
    blocks = drawn_blocks(list(results[0].indices))
    columns = 4 if len(blocks) % 4 == 0 else 3
    plots = []
    for number, block in enumerate(blocks):
        curves = tuple(
            Series(title, title, tuple(density(index, POINTS).tolist()))
            for title, index in ((each.model.title, each.active(block)) for each in results)
            if len(index)
        )
        axis = "class selectivity index" if number >= len(blocks) - columns else ""
        plots.append(Panel(block, axis, tuple(POINTS.tolist()), curves))
    return [plots[start : start + columns] for start in range(0, len(plots), columns)]


def drawn_blocks(blocks: Sequence[str]) -> list[str]:
    """All blocks up to twelve; of more, the first, the middle and the last of each stage."""
    if len(blocks) <= MAX_PLOTS:
        return list(blocks)
    drawn: dict[str, None] = {}  # in order, each once
    for _, blocks_of_stage in groupby(blocks, key=lambda block: block.split(".")[1]):
        stage = list(blocks_of_stage)
        drawn |= dict.fromkeys((stage[0], stage[len(stage) // 2], stage[-1]))
    return list(drawn)


def _mean(index: Tensor) -> float | None:
    return None if index.isnan().all() else index.double().nanmean().item()
