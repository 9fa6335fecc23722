"""Figure and page of `analyze diversity`, in the form of the main paper's figure 4."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fcmae.analyze.comparison import greater, pair_of, thirds
from fcmae.findings.figures import Panel, Series, draw
from fcmae.findings.page import Finding, Table, write_finding
from fcmae.findings.record import Row
from fcmae.findings.verdict import REPRODUCED, UNDECIDED

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
    "first block is at 0, the last at 1. The bands are the standard deviation over images.",
    "{tensor} The paper does not say which tensor its figures show, and curves of different ones "
    "cannot be compared.",
)
TENSORS = {
    "block": "What is measured is each block’s output, after the residual addition.",
    "branch": "What is measured is what each block adds to its input, before the addition.",
    "grn": "What is measured is what leaves GRN, or what stands in its place, in each block.",
    "widened": "What is measured is what enters each block’s last linear layer, four times as "
    "wide as its output: after GRN in V2, after GELU in V1.",
}
LEAST = 0.01  # of a distance; less is no collapse
RULE = (
    "The first V1 and the first V2 are compared by their mean distances over the last third of the "
    f"blocks. A difference counts where it is more than {LEAST} and more than two standard errors "
    "over images. That V1 collapses and V2 does not counts as reproduced where V2’s is larger, and "
    f"V1’s has fallen by more than {LEAST} from its first third; as not reproduced where V2’s is "
    "smaller; and else as not decidable. It says nothing of other trainings of the same models."
)


class Curve(NamedTuple):
    """A model's rows, in the order of its blocks."""

    title: str
    model: str
    rows: list[Row]

    @property
    def fall(self) -> float:
        """From the first third of the blocks to the last."""
        early, _ = thirds([row["block"] for row in self.rows])
        first = [float(row["distance"]) for row in self.rows[: len(early)]]
        return sum(first) / len(first) - self.deep()[0]

    def deep(self) -> tuple[float, float]:
        """Mean over the last third of the blocks, and at most its standard error over images."""
        _, last = thirds([row["block"] for row in self.rows])
        rows = self.rows[-len(last) :]
        distance, deviation = (
            sum(row[name] for row in rows) / len(rows) for name in ("distance", "deviation")
        )
        return distance, deviation / math.sqrt(rows[0]["images"])


def write_page(out: Path, curves: Sequence[Curve], about: Mapping[str, Any]) -> Path:
    """Write `figure.png`, `figure.svg` and `page.html`; return the path of the last."""
    reading = [text.format(tensor=TENSORS[about["tensor"]]) for text in READING]
    finding = Finding(
        kind="The main paper’s figure 4, measured here",
        title="Feature diversity",
        shows=[*says(curves), PAPER],
        figure=draw([[panel(curves)]]),
        alternative="feature cosine distance over depth, a curve a model, as in the table",
        reading=[*reading, *([RULE] if pair_of(curves, _model) else [])],
        table=table(curves),
    )
    return write_finding(out, finding, about)


def says(curves: Sequence[Curve]) -> list[str]:
    """The paper's statement where it applies, then each model's first block and last third."""
    sentences = []
    if pair := pair_of(curves, _model):
        (v1, error_1), (v2, error_2) = (curve.deep() for curve in pair)
        verdict = greater(v2, v1, max(math.hypot(error_1, error_2), LEAST / 2))
        if verdict == REPRODUCED and pair[0].fall <= LEAST:
            verdict = UNDECIDED
        sentences.append(
            f"V1’s features collapse with depth, and V2’s stay more diverse: {verdict} ({v2:.4f} "
            f"against {v1:.4f} over the last third of the blocks; V1’s fall by {pair[0].fall:.4f} "
            "from the first third)."
        )
    images, failed = curves[0].rows[0]["images"], curves[0].rows[0]["unreadable"]
    left_out = f" ({failed} more could not be read)" if failed else ""
    measured = f"Measured on {images:,} images{left_out}."
    for curve in curves:
        distance, error = curve.deep()
        measured += (
            f" {curve.title}: {curve.rows[0]['distance']:.4f} in the first block, "
            f"{distance:.4f} ± {error:.4f} over the last third."
        )
    return [*sentences, measured]


def panel(curves: Sequence[Curve]) -> Panel:
    """All curves over normalised depth."""
    series = (
        Series(
            curve.title,
            curve.title,
            tuple(row["distance"] for row in curve.rows),
            tuple(row["deviation"] for row in curve.rows),
            tuple(row["depth"] for row in curve.rows),
        )
        for curve in curves
    )
    places = (0, 0.25, 0.5, 0.75, 1)
    return Panel(
        "feature cosine distance", "normalised depth", places, tuple(series), from_zero=False
    )


def table(curves: Sequence[Curve]) -> Table:
    """Every block of every model."""
    rows = [
        [
            f"{row['block']} · {row['label']}",
            f"{row['depth']:.2f}",
            f"{row['distance']:.4f}",
            f"{row['deviation']:.4f}",
        ]
        for curve in curves
        for row in curve.rows
    ]
    heading = ("block", "normalised depth", "distance", "deviation over images")
    return Table(heading, rows)


def _model(curve: Curve) -> str:
    return curve.model
