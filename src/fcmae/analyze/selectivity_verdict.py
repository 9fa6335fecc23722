"""What the paper says of figure 2, and what it comes to for a V1 and a V2 that were measured."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fcmae.analyze.comparison import greater, pair_of, thirds
from fcmae.analyze.selectivity_measure import GENERIC, Measured
from fcmae.findings.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from fcmae.probes.selectivity import Values, distance

CLOSER = 0.5  # of what the deep blocks differ by beyond chance: so little counts as a match
SHUFFLES = 200
NOISE = 0.5  # of a mean index; where chance alone gives more, nothing is decided
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


class Apart(NamedTuple):
    """How far two models are apart, averaged over some blocks, and what chance alone gives."""

    distance: float
    mean: float  # by chance
    limit: float  # which chance exceeds 1 time in 40

    @property
    def excess(self) -> float:
        """Beyond the mean of chance."""
        return self.distance - self.mean


def verdicts(found: Sequence[Measured]) -> list[str]:
    """A sentence for each of the paper's statements; none without a V1 and a V2."""
    pair = pair_of(found, lambda model: model.model)
    if pair is None:
        return []
    v1, v2 = pair
    early, deep = thirds(list(v1.indices))
    if not all(len(model.active(block)) for model in pair for block in model.indices):
        return [f"The paper’s statements are {UNDECIDED}: all channels of a block are silent."]
    if max(_by_chance(model, deep) for model in pair) > NOISE:
        return [
            f"The paper’s statements are {UNDECIDED}, with so few images a class: shuffled "
            "classes make channels look more than half as selective."
        ]
    near, far = (apart(v1, v2, blocks) for blocks in (early, deep))
    shares, errors = zip(*(_generic(model.together(deep)) for model in pair), strict=True)
    more = greater(shares[1], shares[0], math.hypot(*errors))
    return [
        f"V1 and V2 match early and part with depth: {parting(near, far)} (distance "
        f"{near.distance:.3f} in the first {len(early)} blocks, {far.distance:.3f} in the last "
        f"{len(deep)}; by chance {near.mean:.3f} and {far.mean:.3f}).",
        f"V2 has more class-generic channels in deep layers: {more} ({shares[1]:.0%} of V2’s "
        f"channels have an index below {GENERIC} in the last {len(deep)} blocks, {shares[0]:.0%} "
        "of V1’s).",
    ]


def parting(near: Apart, far: Apart) -> str:
    """Whether two models match early and part with depth."""
    if far.distance > max(far.limit, near.distance) and near.excess <= CLOSER * far.excess:
        return REPRODUCED
    if near.distance > near.limit and near.excess > far.excess:
        return NOT_REPRODUCED
    return UNDECIDED


def apart(one: Measured, other: Measured, blocks: Sequence[str]) -> Apart:
    """Distances averaged over blocks: as they are, and of channels dealt out by chance."""
    samples = [(one.active(block), other.active(block)) for block in blocks]
    true = float(np.mean([distance(*pair) for pair in samples]))
    generator = np.random.default_rng(0)
    shuffled = []
    for _ in range(SHUFFLES):
        dealt = [(generator.permutation(np.concatenate(pair)), len(pair[0])) for pair in samples]
        shuffled.append(np.mean([distance(all_[:n], all_[n:]) for all_, n in dealt]))
    return Apart(true, float(np.mean(shuffled)), float(np.quantile(shuffled, 0.975)))


def _generic(index: Values) -> tuple[float, float]:
    """The share of generic channels and its standard error."""
    share = float((index < GENERIC).mean())
    return share, math.sqrt(share * (1 - share) / len(index))


def _by_chance(model: Measured, blocks: Sequence[str]) -> float:
    """What shuffled classes give, as a share of the mean index."""
    rows = [row for row in model.rows if row["block"] in blocks]
    chance, true = (sum(row[name] or 0 for row in rows) for name in ("mean_by_chance", "mean"))
    return chance / true if true else math.inf
