"""The page of figure 6: the diversity of features over depth, for each norm."""

from collections.abc import Mapping, Sequence
from typing import Any

from fcmae.findings.figures import Panel, Series, draw
from fcmae.findings.page import Finding, Table
from fcmae.findings.record import Row
from fcmae.studies.claims import above, sentence
from fcmae.studies.rows import by_name, by_seed, failures, in_words, mean, spread

LABELS = {"none": "none", "layer": "LN", "batch": "BN", "local": "LRN", "grn": "GRN"}
TENSORS = {
    "block": "what leaves a block",
    "widened": "what enters its last linear layer",
}
PAPER = (
    "What the paper says of its figure 6: BN collapses worst, LRN is irregular, LN helps somewhat "
    "and stays below GRN, which is in keeping with the accuracies after fine-tuning."
)
ACCURACIES = {"none": 83.7, "layer": 83.8, "batch": 80.5, "local": 83.2, "grn": 84.6}  # main paper
READING = (
    "Distance is the mean over all pairs of channels of (1 − cosine) / 2 of their maps, averaged "
    "over whole images of val: 0 where all channels say the same, 0.5 where they are unrelated. "
    "The paper does not say which tensor its figure is of, so two are shown. Depth runs from the "
    "first block, 0, to the last, 1.",
    "Bands are one standard deviation over seeds. The claims above are about the mean distance of "
    "what leaves the blocks of the deeper half, where features collapse.",
    "LN and BN stand in GRN’s place as they are known, with scale and shift and no residual; LRN "
    "has the constants of Krizhevsky et al. 2012; none is V2’s block with nothing there. The "
    "decoder keeps its GRN.",
)
CLAIMS = (
    ("GRN", "LN"),
    ("LN", "none"),
    ("none", "BN"),
    ("LN", "BN"),
    ("LRN", "BN"),
)


def finding(rows: Sequence[Row], run: Mapping[str, Any]) -> Finding:
    """The page: curves, and the table of their means."""
    deep = {LABELS[name]: found for name, found in deep_half(rows).items()}
    values = {name: list(found.values()) for name, found in deep.items()}
    claims = [above(deep, *pair, unit="") for pair in CLAIMS]
    accuracies = by_name(rows)
    present = [name for name in LABELS if name in accuracies]
    table = Table(
        ("in GRN’s place", "distance, deeper half", "accuracy (%)", "the paper’s accuracy (%)", ""),
        [
            (
                LABELS[name],
                in_words(values[LABELS[name]], digits=3),
                in_words(accuracies[name]),
                f"{ACCURACIES[name]:.1f}",
                failures(rows, name),
            )
            for name in present
        ],
        "Mean ± standard deviation over seeds, and their number. The paper’s accuracies are of "
        "ImageNet with Base, from its main part; its baseline, “none”, is V1.",
    )
    return Finding(
        kind="The paper’s figure 6, drawn again",
        title="Feature diversity with other norms in GRN’s place",
        shows=[sentence("Figure 6", claims), PAPER],
        figure=draw([panels(rows)]),
        alternative="feature distance over depth for each norm, whose means are in the table",
        reading=READING,
        table=table,
    )


def panels(rows: Sequence[Row]) -> list[Panel]:
    """A panel for each tensor, a curve for each norm."""
    curves = {name: [row["diversity"] for row in rows if of(row, name)] for name in LABELS}
    depth = max((len(one["block"]) for found in curves.values() for one in found), default=2)
    places = tuple(round(block / (depth - 1), 2) for block in range(depth))
    found = []
    for tensor, title in TENSORS.items():
        series = []
        for name, seeds in curves.items():
            blocks = list(zip(*(one[tensor] for one in seeds), strict=True))
            if blocks:
                series.append(
                    Series(
                        name,
                        LABELS[name],
                        tuple(mean(block) for block in blocks),
                        tuple(spread(block) for block in blocks),
                    )
                )
        found.append(Panel(f"cosine distance: {title}", "depth", places, tuple(series)))
    return found


def deep_half(rows: Sequence[Row]) -> dict[str, dict[int, float]]:
    """The mean distance over the deeper half of the blocks' outputs, by name and seed."""
    halves = [
        row | {"deep": sum(deep) / len(deep)}
        for row in rows
        if "diversity" in row
        for deep in [row["diversity"]["block"][len(row["diversity"]["block"]) // 2 :]]
    ]
    nothing: dict[str, dict[int, float]] = {str(row["name"]): {} for row in rows}
    return nothing | by_seed(halves, "deep", factor=1)


def of(row: Row, name: str) -> bool:
    """Whether a row is of this name, and was measured."""
    return bool(row["name"] == name and "diversity" in row)
