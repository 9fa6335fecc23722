"""The paper's claims on the toy study (appendix D) against the rows measured, by a stated rule."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcmae.report.verdict import Difference, verdict
from fcmae.studies.claims import above
from fcmae.studies.reconstruction import CONVNEXT, ENCODERS, GRN, TRANSFORMER
from fcmae.studies.results import Row

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

Values = dict[str, dict[int, dict[int, float]]]  # by encoder, mask size and seed


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the paper says, what is seen here, and how the two agree."""

    paper: str
    here: str
    verdict: str


def by_setting(rows: Sequence[Row], measure: str, factor: float = 1) -> Values:
    """The values of a measure, in the order of the study; unstable settings have none."""
    values: Values = {name: defaultdict(dict) for name in ENCODERS}
    for row in sorted(rows, key=lambda row: (row["mask_size"], row["seed"])):
        if not row.get("unstable"):
            values[row["encoder"]][row["mask_size"]][row["seed"]] = factor * row[measure]
    return {name: dict(sizes) for name, sizes in values.items() if sizes}


def comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """All claims for which there are the encoders."""
    errors = "The errors of ConvNeXt are generally smaller than the Transformer’s (MSE)"
    diverse = "GRN makes the features of ConvNeXt more diverse"
    # The paper says this of its design, and measures it on ImageNet alone.
    better = "GRN makes the features of ConvNeXt better, whatever the mask (top-5 error)"
    found = [
        _generally(errors, by_setting(rows, "mse"), higher=TRANSFORMER, lower=CONVNEXT),
        _correlated(rows),
        _generally(diverse, by_setting(rows, "diversity"), higher=GRN, lower=CONVNEXT),
        _generally(better, by_setting(rows, "top_5_error"), higher=CONVNEXT, lower=GRN),
    ]
    return [claim for claim in found if claim is not None]


def _generally(paper: str, values: Values, *, higher: str, lower: str) -> Comparison | None:
    """Whether a measure of one encoder is generally above another's."""
    sizes = values.get(higher, {}).keys() & values.get(lower, {}).keys()
    if not sizes:
        return None
    at_sizes = [{name: found.get(size, {}) for name, found in values.items()} for size in sizes]
    holds = [above(at_size, higher, lower).holds for at_size in at_sizes]
    so, otherwise = holds.count(True), holds.count(False)
    here = (
        f"{ENCODERS[lower].label} is clearly below {ENCODERS[higher].label} at {so}, and clearly "
        f"above at {otherwise} of {len(sizes)} mask sizes"
    )
    generally = 2 * so > len(sizes)
    decided = generally or 2 * otherwise >= len(sizes)
    return Comparison(paper, here, verdict([generally if decided else None]))


def _correlated(rows: Sequence[Row]) -> Comparison | None:
    """Whether a smaller error of reconstruction goes with a larger one of the neighbours."""
    mse, error = by_setting(rows, "mse"), by_setting(rows, "top_5_error")
    pair = (CONVNEXT, TRANSFORMER)
    if not set(pair) <= mse.keys():
        return None
    both = _correlations(mse, error, pair)
    if not both:
        return None
    mean = statistics.mean(both)
    deviation = statistics.stdev(both) / math.sqrt(len(both)) if len(both) > 1 else math.inf
    here = f"rank correlation {mean:+.2f}" + (f" ± {deviation:.2f}" if len(both) > 1 else "")
    for name in mse:
        if alone := _correlations(mse, error, (name,)):
            here += f"; {ENCODERS[name].label} alone {statistics.mean(alone):+.2f}"
    paper = "The smaller the error of the reconstruction, the worse the features (top-5 error)"
    against = Difference(-mean, deviation, len(both) - 1)  # the one falls as the other rises
    return Comparison(paper, here, verdict([against.above]))


def _correlations(mse: Values, error: Values, encoders: Sequence[str]) -> list[float]:
    """Spearman's correlation of both errors, for each seed that has three settings or more."""
    from scipy.stats import spearmanr  # takes half a second to import

    points: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for name in encoders:
        for size, seeds in mse[name].items():
            for seed, value in seeds.items():
                points[seed].append((value, error[name][size][seed]))
    columns = [np.array(seed) for seed in points.values() if len(seed) > 2]
    return [float(spearmanr(each).statistic) for each in columns if np.ptp(each, 0).all()]
