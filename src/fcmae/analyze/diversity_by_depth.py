"""Diversity of features over depth, a curve a model (the main paper's figure 4, and figure 6)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fcmae.analyze.analysis import BlockAnalysis, Column, start, table_of
from fcmae.analyze.images import drawn, open_set
from fcmae.analyze.models import AnalyzedBackbone, Result, read_backbones, thirds, v1_and_v2
from fcmae.commands.analyze import Diversity
from fcmae.images import Subset
from fcmae.inference.loop import require_some
from fcmae.probes.blocks import check_tensor, cosine_distances
from fcmae.report.charts import Chart, Panel, Series
from fcmae.report.findings import Finding
from fcmae.report.record import Row
from fcmae.report.verdict import Difference, verdict

PAPER = (
    "In the paper (figure 4 of the main paper) the features of a V1 that is pre-trained by masking "
    "collapse: their diversity falls with depth. GRN keeps V2’s diverse. Appendix D, figure 6, "
    "draws the same for other norms in GRN’s place."
)
READING = (
    "The distance is (1 − cosine) / 2 of two channels’ flattened maps, averaged over all pairs of "
    "channels, those of a channel with itself included, and then over images: 0 where all channels "
    "say the same, as in a collapse, and (1 − 1/C) / 2 where C channels are unrelated, 0.488 of 40 "
    "and 0.498 of 320. Depth is normalised: the "
    "first block is at 0, the last at 1. The bands are the standard deviation over images."
)
TENSORS = {
    "block": "each block’s output, after the residual addition",
    "branch": "what each block adds to its input, before the addition",
    "grn": "what leaves GRN, or what stands in its place, in each block",
    "widened": "what enters each block’s last linear layer, four times as wide as its output: "
    "after GRN in V2, after GELU in V1",
}
COLUMNS: Mapping[str, Column] = {
    "normalised depth": ("depth", "{:.2f}".format),
    "distance": ("distance", "{:.4f}".format),
    "deviation over images": ("deviation", "{:.4f}".format),
}
MIN_DIFFERENCE = 0.01  # of a distance; less is no collapse
RULE = (
    "The first V1 and the first V2 are compared by their mean distances over the last third of the "
    f"blocks. A difference counts where it is more than {MIN_DIFFERENCE} and more than two "
    "standard errors over images. That V1 collapses and V2 does not counts as reproduced where "
    f"V2’s is larger, and V1’s has fallen by more than {MIN_DIFFERENCE} from its first third; as "
    "not reproduced where V2’s is smaller; and else as not decidable. It says nothing of other "
    "trainings of the same models."
)


@dataclass(frozen=True, slots=True)
class Curve(Result):
    """A model's rows, in the order of its blocks."""

    rows: list[Row]

    @property
    def late(self) -> float:
        """Mean distance over the last third of the blocks."""
        return _mean(thirds(self.rows)[1], "distance")

    @property
    def error(self) -> float:
        """At most the standard error of that over images."""
        return _mean(thirds(self.rows)[1], "deviation") / math.sqrt(self.rows[0]["images"])

    @property
    def fall(self) -> float:
        """From the first third of the blocks to the last."""
        return _mean(thirds(self.rows)[0], "distance") - self.late


def run_diversity(options: Diversity) -> Path:
    """Run `analyze diversity` with these options."""
    runtime = start("diversity", options.device, options.precision)
    whole = open_set(options.data)
    images = Subset(whole, drawn(whole, options.num_images))
    models = read_backbones(options.weights, options, runtime.device)
    for model in models:
        check_tensor(model.backbone, options.tensor)
    measured = {"tensor": options.tensor}
    analysis = BlockAnalysis("diversity", options, runtime, models, images, measured)
    curves = []
    for model in models:
        rows = analysis.kept_rows(model)
        rows = rows or analysis.keep_rows(model, measure(model, analysis, options.tensor))
        curves.append(Curve(model, rows))
    pair = v1_and_v2(curves)
    statements = compare(*pair) if pair else []
    named = [(f"{row['block']} · {row['label']}", row) for curve in curves for row in curve.rows]
    what = f"What is measured is {TENSORS[options.tensor]}."
    finding = Finding(
        kind="The main paper’s figure 4, measured here",
        title="Feature diversity",
        shows=[*statements, summary(curves), PAPER],
        figure=Chart([[plot(curves)]]),
        alternative="feature cosine distance over depth, a curve a model, as in the table",
        reading=[
            READING,
            f"{what} The paper does not say which tensor its figures show, and curves of different "
            "ones cannot be compared.",
            *([RULE] if statements else []),
        ],
        table=table_of("block", named, COLUMNS),
    )
    return analysis.publish(finding)


def measure(model: AnalyzedBackbone, analysis: BlockAnalysis, tensor: str) -> list[Row]:
    """Mean and deviation over images of each block's feature cosine distance, a row a block.

    Raises:
        ValueError: if no image can be read.
    """
    sums = torch.zeros(2, len(model.blocks), dtype=torch.float64)
    images = 0
    unreadable: dict[str, str] = {}
    for output in analysis.outputs(model, lambda x: cosine_distances(x).unsqueeze(1), tensor):
        unreadable |= output.unreadable
        images += len(output.indices)
        for distances in map(Tensor.double, output.tensors):  # [n, blocks]
            sums += torch.stack([distances.sum(0), distances.square().sum(0)])
    require_some(images, analysis.images, unreadable, model.preprocessing.channels)
    means, squares = sums / images
    deviations = (squares - means.square()).clamp(min=0).sqrt()
    return [
        {
            "block": block,
            "depth": number / max(len(model.blocks) - 1, 1),
            "distance": means[number].item(),
            "deviation": deviations[number].item(),  # over images
            "images": images,
            "unreadable": len(unreadable),
        }
        for number, block in enumerate(model.blocks)
    ]


def compare(v1: Curve, v2: Curve) -> list[str]:
    """What the paper's statement comes to."""
    error = max(math.hypot(v1.error, v2.error), MIN_DIFFERENCE / 2)
    falls = True if v1.fall > MIN_DIFFERENCE else None
    found = verdict([Difference(v2.late - v1.late, error).above, falls])
    return [
        f"V1’s features collapse with depth, and V2’s stay more diverse: {found} ({v2.late:.4f} "
        f"against {v1.late:.4f} over the last third of the blocks; V1’s fall by {v1.fall:.4f} "
        "from the first third)."
    ]


def summary(curves: Sequence[Curve]) -> str:
    """What was measured: each model's first block and last third."""
    first = curves[0].rows[0]
    left_out = f" ({first['unreadable']} more could not be read)" if first["unreadable"] else ""
    text = f"Measured on {first['images']:,} images{left_out}."
    for curve in curves:
        text += (
            f" {curve.model.title}: {curve.rows[0]['distance']:.4f} in the first block, "
            f"{curve.late:.4f} ± {curve.error:.4f} over the last third."
        )
    return text


def plot(curves: Sequence[Curve]) -> Panel:
    """All curves over normalised depth."""
    series = (
        Series(
            curve.model.title,
            curve.model.title,
            tuple(row["distance"] for row in curve.rows),
            tuple(row["deviation"] for row in curve.rows),
            tuple(row["depth"] for row in curve.rows),
        )
        for curve in curves
    )
    ticks = (0, 0.25, 0.5, 0.75, 1)
    return Panel(
        "feature cosine distance", "normalised depth", ticks, tuple(series), from_zero=False
    )


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(sum(row[name] for row in rows) / len(rows))
