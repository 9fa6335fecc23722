"""The table of a probe: what is right in each cell, whether one row is better, and the words."""

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich import box
from rich.table import Table
from torch import Tensor

from fcmae.inference.classification import ranks
from fcmae.report.verdict import Difference

WEIGHTS, RANDOM, HISTOGRAM = "these weights", "random weights", "the colour histogram"
WORDS = {True: "better", False: "worse", None: "no better"}


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


def difference(ours: Score, control: Score) -> Difference:
    """Compare the top-1 accuracies of two probes on the same M images, image by image.

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


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table."""

    label_share: float
    k: int | None  # None: the linear probe

    @property
    def name(self) -> str:
        """As tables and sentences call it."""
        probe = "linear probe" if self.k is None else f"kNN {self.k}"
        return probe if self.label_share == 1 else f"{probe} at {100 * self.label_share:g} %"


def summary(
    columns: Sequence[Column], rows: dict[str, list[Score]], labels: Tensor
) -> dict[str, Any]:
    """The numbers and the sentence, for JSON."""
    found: list[dict[str, Any]] = []
    words: dict[str, dict[str, str]] = {}
    for number, column in enumerate(columns):
        scores = {name: cells[number] for name, cells in rows.items()}
        against = {
            control: difference(scores[WEIGHTS], scores[control]) for control in (RANDOM, HISTOGRAM)
        }
        words[column.name] = {control: WORDS[each.above] for control, each in against.items()}
        found.append(
            {
                "name": column.name,
                "probe": "linear" if column.k is None else "knn",
                "k": column.k,
                "label_share": column.label_share,
                "top_1": {name: cell.accuracies for name, cell in scores.items()},
                "top_5": {
                    name: cell.top_5 if cell.top_5 is None else cell.top_5.double().mean(1).tolist()
                    for name, cell in scores.items()
                },
                "differences": {
                    control: {"mean": each.value, "spread": each.error, "word": WORDS[each.above]}
                    for control, each in against.items()
                },
            }
        )
    counts = labels.bincount().sort(descending=True).values.double() / len(labels)
    chance = {"top_1": counts[0].item(), "top_5": counts[:5].sum().item()}
    return {"chance": chance, "columns": found, "verdict": sentence(words)}


def sentence(words: dict[str, dict[str, str]]) -> str:
    """Whether pre-training helped.

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


def table_of(result: dict[str, Any]) -> Table:
    """Three rows for each label share, and a column or two for each probe, in per cent."""
    by_share: dict[float, list[dict[str, Any]]] = {}
    for column in result["columns"]:
        by_share.setdefault(column["label_share"], []).append(column)
    kinds = ["top_1", "top_5"] if len(result["classes"]) > 5 else ["top_1"]
    caption = f"In per cent of {result['val_images']} images"
    if result["seeds"] > 1:
        caption += f"; ± one deviation, of {result['seeds']} seeds"
    caption += f". Chance: always the most frequent class{', or the five' * (len(kinds) - 1)}."
    caption += " Beyond the spread: by more than two deviations, of seeds and of images together."
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left")
    table.add_column("features")
    probes = next(iter(by_share.values()))
    for column in probes:
        name = "linear probe" if column["k"] is None else f"kNN {column['k']}"
        for kind in kinds:
            table.add_column(f"{name}\n{kind.replace('_', '-')}", justify="right")
    for share, columns in by_share.items():
        if len(by_share) > 1:
            table.add_row(f"{100 * share:g} % of labels", style="bold")
        for row in columns[0]["top_1"]:
            cells = [_percent(column[kind][row]) for column in columns for kind in kinds]
            table.add_row(row, *cells)
        table.add_section()
    table.add_row("chance", *[_percent([result["chance"][kind]]) for kind in kinds] * len(probes))
    return table


def _percent(values: Sequence[float]) -> str:
    mean = f"{100 * statistics.mean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean
