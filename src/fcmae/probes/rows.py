"""The rows and columns of the probes' table, from features that are computed already."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fcmae.console.screen import progress_bar
from fcmae.probes import (
    Features,
    Score,
    difference,
    fit_linear_probe,
    nearest_neighbours,
    score,
    standardise,
    verdict,
)
from fcmae.training.devices import Place

WEIGHTS, RANDOM, HISTOGRAM = "these weights", "random weights", "the colour histogram"


@dataclass(frozen=True, slots=True)
class Pair:
    """The features that one network gives: to learn from, and to be counted on."""

    train: Features
    val: Features


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the table."""

    label_share: float
    k: int | None  # None: the linear probe

    @property
    def name(self) -> str:
        """As tables and sentences call it."""
        probe = "linear probe" if self.k is None else f"kNN {self.k}"
        return probe if self.label_share == 1 else f"{probe} at {100 * self.label_share:g} %"


def score_rows(
    pairs: Sequence[Pair],
    parts: dict[float, list[Tensor]],
    k: Sequence[int],
    num_classes: int,
    place: Place,
) -> dict[str, list[Score]]:
    """Every cell of the table, by row: for each share of the labels every K, then the linear probe.

    Scores of a share below 1 have as many seeds as it was drawn with; random weights of one seed
    go with its draw. For nearest neighbours the histogram is compared as it is: its scale means
    something, and it is the stronger control.
    """
    # float64, which the linear probe needs, is not on every device.
    device = place.device if place.device.type == "cuda" else torch.device("cpu")
    pairs = [Pair(pair.train.to(device), pair.val.to(device)) for pair in pairs]
    scaled = [Pair(*standardise(pair.train, pair.val)) for pair in pairs]
    near = [*scaled[:-1], pairs[-1]]
    members = {WEIGHTS: [0], RANDOM: [*range(1, len(pairs) - 1)], HISTOGRAM: [len(pairs) - 1]}
    labels = pairs[0].val.labels
    rows: dict[str, list[Score]] = {name: [] for name in members}
    with progress_bar() as bar:
        task = bar.add_task("probes", total=len(rows) * len(parts), figures="")
        for name, numbers in members.items():
            for draws in parts.values():
                answers = []
                for seed in range(max(len(numbers), len(draws))):
                    number, kept = numbers[seed % len(numbers)], draws[seed % len(draws)].to(device)
                    neighbours = labelled(near[number], kept)
                    linear = labelled(scaled[number], kept)
                    answers.append(
                        [
                            *nearest_neighbours(*neighbours, num_classes, k),
                            fit_linear_probe(linear[0], num_classes)(linear[1].values),
                        ]
                    )
                rows[name] += [score(column, labels) for column in zip(*answers, strict=True)]
                bar.advance(task)
    return rows


def labelled(pair: Pair, kept: Tensor) -> tuple[Features, Features]:
    """What may be learnt from: the train images that are kept, bool [images]; and what counts."""
    return pair.train.rows(kept[pair.train.indices]), pair.val


def summary(
    measures: Sequence[Measure], rows: dict[str, list[Score]], labels: Tensor
) -> dict[str, Any]:
    """The numbers and the sentence, for JSON."""
    columns: list[dict[str, Any]] = []
    words: dict[str, dict[str, str]] = {}
    for number, measure in enumerate(measures):
        scores = {name: cells[number] for name, cells in rows.items()}
        against = {
            control: difference(scores[WEIGHTS], scores[control]) for control in (RANDOM, HISTOGRAM)
        }
        words[measure.name] = {control: found.word for control, found in against.items()}
        columns.append(
            {
                "name": measure.name,
                "probe": "linear" if measure.k is None else "knn",
                "k": measure.k,
                "label_share": measure.label_share,
                "top_1": {name: cell.accuracies for name, cell in scores.items()},
                "top_5": {
                    name: cell.top_5 if cell.top_5 is None else cell.top_5.double().mean(1).tolist()
                    for name, cell in scores.items()
                },
                "differences": {
                    control: {"mean": found.mean, "spread": found.spread, "word": found.word}
                    for control, found in against.items()
                },
            }
        )
    counts = labels.bincount().sort(descending=True).values.double() / len(labels)
    chance = {"top_1": counts[0].item(), "top_5": counts[:5].sum().item()}
    return {"chance": chance, "columns": columns, "verdict": verdict(words)}
