"""The paper's claims on the toy study (appendix D) against the rows measured, by a stated rule."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcmae.findings.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from fcmae.studies.claims import above, is_clear
from fcmae.studies.reconstruction.recipe import CONVNEXT, ENCODERS, GRN, TRANSFORMER

RULE = (
    "A difference is clear if zero is outside its 95 % interval (Student’s t). Encoders are "
    "compared within seeds, and the error comes from what is left at the same mask size when each "
    "encoder and each seed has its own level; with one seed nothing is clear. That "
    "something is generally smaller or larger is reproduced if it clearly is at more than half of "
    "the mask sizes, not reproduced if it clearly is the other way round at half of them or more, "
    "and else not decidable. The correlation is that of ranks, over both encoders of the paper and "
    "all mask sizes, for each seed; it is reproduced if its mean over the seeds is clearly "
    "negative, and not reproduced if that is clearly positive."
)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """What the paper says, what is seen here, and how the two agree."""

    paper: str
    here: str
    verdict: str


def by_setting(rows: Sequence[Row], measure: str) -> dict[str, dict[int, list[float]]]:
    """The values of the seeds, by encoder and mask size; both in the order of the study."""
    values: dict[str, dict[int, list[float]]] = {name: defaultdict(list) for name in ENCODERS}
    for row in sorted(rows, key=lambda row: (row["mask_size"], row["seed"])):
        if not row.get("unstable"):
            values[row["encoder"]][row["mask_size"]].append(row[measure])
    return {name: sizes for name, sizes in values.items() if sizes}


def claims(rows: Sequence[Row]) -> list[Claim]:
    """All claims for which there are the encoders."""
    errors = "The errors of ConvNeXt are generally smaller than the Transformer’s (MSE)"
    diverse = "GRN makes the features of ConvNeXt more diverse"
    # The paper says this of its design, and measures it on ImageNet alone.
    better = "GRN makes the features of ConvNeXt better, whatever the mask (top-5 error)"
    found = [
        _generally(errors, rows, "mse", higher=TRANSFORMER, lower=CONVNEXT),
        _correlated(rows),
        _generally(diverse, rows, "diversity", higher=GRN, lower=CONVNEXT),
        _generally(better, rows, "top_5_error", higher=CONVNEXT, lower=GRN),
    ]
    return [claim for claim in found if claim is not None]


def _generally(
    paper: str, rows: Sequence[Row], measure: str, *, higher: str, lower: str
) -> Claim | None:
    """Whether a measure of one encoder is generally above another's."""
    values = by_setting(rows, measure)
    sizes = values.get(higher, {}).keys() & values.get(lower, {}).keys()
    if not sizes:
        return None
    at_sizes = [_by_seed(rows, measure, size) for size in sizes]
    holds = [above(at_size, higher, lower).holds for at_size in at_sizes]
    so, otherwise = holds.count(True), holds.count(False)
    here = (
        f"{ENCODERS[lower].label} is clearly below {ENCODERS[higher].label} at {so}, and clearly "
        f"above at {otherwise} of {len(sizes)} mask sizes"
    )
    if 2 * so > len(sizes):
        return Claim(paper, here, REPRODUCED)
    return Claim(paper, here, NOT_REPRODUCED if 2 * otherwise >= len(sizes) else UNDECIDED)


def _by_seed(rows: Sequence[Row], measure: str, size: int) -> dict[str, dict[int, float]]:
    """The values of a measure at one mask size, by encoder and seed."""
    values: dict[str, dict[int, float]] = {row["encoder"]: {} for row in rows}
    for row in rows:
        if row["mask_size"] == size and not row.get("unstable"):
            values[row["encoder"]][row["seed"]] = row[measure]
    return values


def _correlated(rows: Sequence[Row]) -> Claim | None:
    """Whether a smaller error of reconstruction goes with a larger one of the neighbours."""
    pair = {CONVNEXT, TRANSFORMER}
    both = _correlations([row for row in rows if row["encoder"] in pair])
    if not both or not pair <= by_setting(rows, "mse").keys():
        return None
    mean = statistics.mean(both)
    error = statistics.stdev(both) / math.sqrt(len(both)) if len(both) > 1 else math.inf
    here = f"rank correlation {mean:+.2f}" + (f" ± {error:.2f}" if len(both) > 1 else "")
    for name in ENCODERS:
        if alone := _correlations([row for row in rows if row["encoder"] == name]):
            here += f"; {ENCODERS[name].label} alone {statistics.mean(alone):+.2f}"
    paper = "The smaller the error of the reconstruction, the worse the features (top-5 error)"
    if len(both) < 2 or not is_clear(mean, error, len(both) - 1):
        return Claim(paper, here, UNDECIDED)
    return Claim(paper, here, REPRODUCED if mean < 0 else NOT_REPRODUCED)


def _correlations(rows: Sequence[Row]) -> list[float]:
    """Spearman's correlation of both errors, for each seed that has three settings or more."""
    from scipy.stats import spearmanr  # takes half a second to import

    points: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if not row.get("unstable"):
            points[row["seed"]].append((row["mse"], row["top_5_error"]))
    columns = [np.array(seed) for seed in points.values() if len(seed) > 2]
    return [float(spearmanr(each).statistic) for each in columns if np.ptp(each, 0).all()]
