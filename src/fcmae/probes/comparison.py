"""Whether one row of the probes' table is better than another, and the sentence that says so."""

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fcmae.inference.metrics import ranks

CLEAR = 2  # spreads


@dataclass(frozen=True, slots=True)
class Score:
    """What a probe got right, seed by seed: one cell of the table.

    Attributes:
        top_1: whether the first answer is right, bool [seeds, M].
        top_5: whether one of the first five is; None up to five classes.
    """

    top_1: Tensor
    top_5: Tensor | None

    @property
    def accuracies(self) -> list[float]:
        """Top-1 accuracy of each seed."""
        return self.top_1.double().mean(1).tolist()

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.mean(self.accuracies)

    @property
    def deviation(self) -> float:
        """Over the seeds; 0 where there is one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else 0.0


def score(answers: Sequence[Tensor], labels: Tensor) -> Score:
    """Count what is right.

    Args:
        answers: for each seed the votes or logits, [M, classes]; -inf for no vote, which is never
            right.
        labels: int64 [M].
    """
    order = torch.stack([ranks(answer, labels) for answer in answers])  # [seeds, M]
    voted = torch.stack(
        [answer.gather(1, labels[:, None])[:, 0] > -torch.inf for answer in answers]
    )
    top_5 = (order < 5) & voted if answers[0].shape[1] > 5 else None
    return Score((order == 0) & voted, top_5)


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two cells of a column, in top-1 accuracy.

    Attributes:
        mean: the first less the second.
        spread: one standard deviation, of the seeds and of the choice of images together.
    """

    mean: float
    spread: float

    @property
    def word(self) -> str:
        """How the first is: more than twice the spread is clear."""
        if abs(self.mean) <= CLEAR * self.spread:
            return "no better"
        return "better" if self.mean > 0 else "worse"


def difference(ours: Score, control: Score) -> Difference:
    """Compare two probes on the same M images, image by image.

    The variance is the sum of three: that of each cell's seeds, as it is and not of their mean,
    and that of the images, as of a difference between paired proportions. To the latter two
    images more are added, on which both differ once either way by half (Agresti and Min, Statistics
    in Medicine 2005): so few images cannot show much, and a handful nothing.
    """
    each = ours.top_1.double().mean(0) - control.top_1.double().mean(0)  # [M]
    images = len(each) + 2
    mean = each.sum().item() / images
    sampling = ((each.square().sum().item() + 1) / images - mean**2) / images
    return Difference(mean, math.sqrt(ours.deviation**2 + control.deviation**2 + sampling))


def verdict(words: dict[str, dict[str, str]]) -> str:
    """One sentence on whether pre-training helped.

    Args:
        words: by measure ("kNN 20"), then by control ("random weights"), how the weights are:
            "better", "no better" or "worse".
    """
    helped = [name for name, found in words.items() if set(found.values()) == {"better"}]
    less: dict[str, list[str]] = {}
    for measure, found in words.items():
        for control, word in found.items():
            if word != "better":
                less.setdefault(f"{word} than {control}", []).append(measure)
    but = "; ".join(f"{what} by {_listed(names, words)}" for what, names in less.items())
    if not less:
        measures = _listed(helped, words)
        return f"Pre-training helped: better than both controls, beyond the spread, by {measures}."
    if helped:
        return (
            f"Pre-training helped in part: better than both controls, beyond the spread, by "
            f"{_listed(helped, words)}, but {but}."
        )
    return (
        "Pre-training did not show that it helped: by no measure are these weights better than "
        f"both controls beyond the spread; they are {but}."
    )


def _listed(names: Sequence[str], measures: Collection[str]) -> str:
    if len(names) == len(measures) > 2:
        return "every measure"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
