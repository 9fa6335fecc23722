"""What the paper says of figure 2, and what it comes to for a V1 and a V2 that were measured."""

import math
from collections.abc import Sequence

import numpy as np

from fcmae.analyze.comparison import (
    NOT_DECIDABLE,
    NOT_REPRODUCED,
    REPRODUCED,
    greater,
    pair_of,
    thirds,
)
from fcmae.analyze.selectivity_measure import GENERIC, Measured
from fcmae.probes.selectivity import Values, distance

FARTHER = 1.5  # times as far apart in the last third as in the first
NOISE = 0.5  # of a mean index; where chance alone gives more, nothing is decided
RULE = (
    "The first V1 and the first V2 are compared. That they part with depth counts as reproduced "
    f"where the distance of their distributions, averaged over the last third of the blocks, is at "
    f"least {FARTHER} times that over the first third, and as not reproduced where it is not even "
    f"larger. That V2 is more generic there counts as reproduced where its share of channels below "
    f"{GENERIC} in the last third is larger than V1’s by more than two standard errors, and as not "
    "reproduced where it is smaller by as much. Anything between is not decidable, and so is all "
    "where shuffled classes give a mean index in the last third that is more than half of the true "
    "one. Two models of two trainings are compared: others may differ."
)


def verdicts(found: Sequence[Measured]) -> list[str]:
    """A sentence for each of the paper's statements; none without a V1 and a V2."""
    pair = pair_of(found, lambda model: model.model)
    if pair is None:
        return []
    v1, v2 = pair
    early, deep = thirds(list(v1.indices))
    if not all(len(model.active(block)) for model in pair for block in model.indices):
        return [f"The paper’s statements are {NOT_DECIDABLE}: all channels of a block are silent."]
    if max(_by_chance(model, deep) for model in pair) > NOISE:
        return [
            f"The paper’s statements are {NOT_DECIDABLE} with so few images a class: shuffled "
            "classes make channels look more than half as selective."
        ]
    near, far = (_apart(v1, v2, blocks) for blocks in (early, deep))
    shares, errors = zip(*(_generic(model.together(deep)) for model in pair), strict=True)
    more = greater(shares[1], shares[0], math.hypot(*errors))
    return [
        f"V1 and V2 match early and part with depth: {_parting(near, far)} (distance {near:.3f} in "
        f"the first {len(early)} blocks, {far:.3f} in the last {len(deep)}).",
        f"V2 has more class-generic channels in deep layers: {more} ({shares[1]:.0%} of V2’s "
        f"channels have an index below {GENERIC} in the last {len(deep)} blocks, {shares[0]:.0%} "
        "of V1’s).",
    ]


def _parting(near: float, far: float) -> str:
    if far >= FARTHER * near:
        return REPRODUCED
    return NOT_DECIDABLE if far > near else NOT_REPRODUCED


def _apart(one: Measured, other: Measured, blocks: Sequence[str]) -> float:
    return float(np.mean([distance(one.active(block), other.active(block)) for block in blocks]))


def _generic(index: Values) -> tuple[float, float]:
    """The share of generic channels and its standard error."""
    share = float((index < GENERIC).mean())
    return share, math.sqrt(share * (1 - share) / len(index))


def _by_chance(model: Measured, blocks: Sequence[str]) -> float:
    """What shuffled classes give, as a share of the mean index."""
    rows = [row for row in model.rows if row["block"] in blocks]
    chance, true = (sum(row[name] or 0 for row in rows) for name in ("mean_by_chance", "mean"))
    return chance / true if true else math.inf
