"""Every cell of the probe's table, from the image files on, by other means than the probe's own."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from wiring.measured_by_hand import (
    Values,
    Whole,
    decoded,
    files_of,
    linear_answers,
    load_weights,
    neighbour_votes,
    outputs,
    pooled,
    ranks,
    save_photographs,
    scaled,
    seen,
)
from wiring.measured_by_hand import statistics as channel_statistics
from wiring.small import tiny_sizes

import fcmae
from fcmae.images import open_labelled, share
from fcmae.models.encoder import Encoder
from fcmae.probes.features import Features
from fcmae.probes.linear import held_out

ON_CPU: dict[str, Any] = {"device": "cpu", "workers": 0}
SIZE, SEEDS, SHARES, NEIGHBOURS = (48, 64), 2, (1.0, 0.5), (20, 3)
TRAIN, VAL = 110, 56  # images
WEIGHTS, RANDOM, HISTOGRAM = "these weights", "random weights", "the colour histogram"
CONTROLS = (RANDOM, HISTOGRAM)


class Probed(NamedTuple):
    """What a probe found, and what it was given."""

    found: dict[str, Any]
    run: Path
    data: Path

    def column(self, probe: str, k: int | None, label_share: float) -> dict[str, Any]:
        (column,) = [
            column
            for column in self.found["columns"]
            if (column["probe"], column["k"], column["label_share"]) == (probe, k, label_share)
        ]
        return column


@pytest.fixture(scope="module")
def probed(real_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Probed:
    """Weights that were trained on faded photographs, probed on others as they are.

    So the mean and deviation are of the run, not of the images that are probed on, and some of the
    colours lie beyond the histogram's reach.
    """
    root = tmp_path_factory.mktemp("probed")
    data = root / "data"
    for split, counts in (("train", (11, 12, 10)), ("val", (5, 7, 4, 6))):
        save_photographs(real_images / split, data / split, counts, cast=0.35)
    faded = root / "faded"
    faded.mkdir()
    for number, path in enumerate(files_of(data / "train")[0][::9]):
        pixels = decoded(path) * [0.45, 0.3, 0.35] + [70, 60, 30]
        Image.fromarray(pixels.astype(np.uint8)).save(faded / f"{number}.png")
    with tiny_sizes():
        fcmae.pretrain(
            out=str(root / "run"),
            data=str(faded),
            image_size="48x64",
            stem_stride=2,
            statistics="data",
            set=("base_learning_rate=0.05", "warmup_epochs=0"),
            batch_size=4,
            epochs=1,
            **ON_CPU,
        )
        found = fcmae.probe(
            weights=str(root / "run"),
            data=str(data),
            k=NEIGHBOURS,
            label_share=SHARES,
            seeds=SEEDS,
            batch_size=7,
            **ON_CPU,
        )
    return Probed(found, root / "run", data)


class Row(NamedTuple):
    """The features of one network."""

    train: Values
    val: Values

    def standardised(self) -> "Row":
        return Row(*scaled(*self))


class Cells(NamedTuple):
    """Whether the first answer is right, and whether one of five is: a list of images a seed."""

    top_1: list[list[bool]]
    top_5: list[list[bool]]


@pytest.fixture(scope="module")
def rows(probed: Probed) -> dict[str, list[Row]]:
    """The features of each row: one network or, of random weights, one for each seed."""
    config = json.loads((probed.run / "config.json").read_text())["statistics"]
    mean, std = config["mean"], config["std"]
    paths = [files_of(probed.data / split)[0] for split in ("train", "val")]
    with tiny_sizes():
        trained = Encoder("convnextv2_atto", stem_stride=2)
        load_weights(trained, probed.run / "weights.safetensors")
        random = []
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            random.append(Encoder("convnextv2_atto", stem_stride=2))
    of_networks = [
        Row(*(outputs(pooled(network), part, SIZE, mean, std) for part in paths))
        for network in (trained, *random)
    ]
    histograms = Row(*(np.array([histogram(path, mean, std) for path in part]) for part in paths))
    return {WEIGHTS: of_networks[:1], RANDOM: of_networks[1:], HISTOGRAM: [histograms]}


def histogram(path: Path, mean: list[float], std: list[float]) -> Values:
    """Roots of the shares of pixels in each of 8 x 8 x 8 bins."""
    pixels = seen(path, SIZE).flatten(1).T.numpy()
    low = np.clip(np.array(mean) - 3 * np.array(std), 0, 1)
    high = np.clip(np.array(mean) + 3 * np.array(std), 0, 1)
    pixels = np.clip(pixels, low, high)
    counts, edges = np.histogramdd(pixels, bins=8, range=[*zip(low, high, strict=True)])
    for channel, inner in enumerate(edges):
        off = np.abs(pixels[:, channel, None] - inner[1:-1])
        assert off.min() > 1e-6, "the edge of a bin is not clear"
    root: Values = np.sqrt(counts.ravel() / len(pixels))
    return root


@pytest.fixture(scope="module")
def expected(probed: Probed, rows: dict[str, list[Row]]) -> Mapping[Any, dict[str, Cells]]:
    """By probe, K and share of the labels, then by row."""
    labels, queries = (files_of(probed.data / split)[1] for split in ("train", "val"))
    table: dict[Any, dict[str, Cells]] = {}
    for part in SHARES:
        draws = [kept_labels(probed.data, part, seed) for seed in range(SEEDS if part < 1 else 1)]
        for name, networks in rows.items():
            for seed in range(max(len(networks), len(draws))):
                row, kept = networks[seed % len(networks)], draws[seed % len(draws)]
                linear = row.standardised()
                near = row if name == HISTOGRAM else linear
                logits, clear = linear_answers(
                    linear.train[kept], labels[kept], held(labels[kept]), linear.val, 10
                )
                orders = {("linear", None, part): ranks(logits, queries, clear)}
                for k in NEIGHBOURS:
                    votes = neighbour_votes(near.train[kept], labels[kept], near.val, 10, k)
                    orders["knn", k, part] = ranks(votes, queries)
                for column, order in orders.items():
                    cells = table.setdefault(column, {}).setdefault(name, Cells([], []))
                    cells.top_1.append((order == 0).tolist())
                    cells.top_5.append((order < 5).tolist())
    return table


def kept_labels(data: Path, part: float, seed: int) -> Whole:
    """The numbers of the images whose labels are kept."""
    images = open_labelled(data, "train")
    drawn = share(images, part, seed)
    names = {drawn.name(index) for index in range(len(drawn))}
    paths, _ = files_of(data / "train")
    return np.array(
        [n for n, path in enumerate(paths) if f"{path.parent.name}/{path.name}" in names]
    )


def held(labels: Whole) -> Any:
    """Which images choose the penalty: the draw is the probe's own."""
    count = len(labels)
    numbers = torch.arange(count)
    _, chosen = held_out(Features(torch.zeros(count, 1), torch.tensor(labels), numbers))
    return np.isin(np.arange(count), chosen.indices.numpy())


COLUMNS = [
    (probe, k, part)
    for part in SHARES
    for probe, k in (*(("knn", k) for k in NEIGHBOURS), ("linear", None))
]


def test_the_mean_and_the_deviation_are_of_the_run(probed: Probed) -> None:
    """They reach neither to black nor to white, and differ between channels."""
    mean, std = channel_statistics(sorted((probed.run.parent / "faded").iterdir()))
    np.testing.assert_allclose(probed.found["mean"], mean, atol=1e-9)
    np.testing.assert_allclose(probed.found["std"], std, atol=1e-9)
    assert (mean - 3 * std).max() > 0.05
    assert (mean + 3 * std).min() < 0.95
    assert len({*np.round(mean, 2)}) == len({*np.round(std, 2)}) == 3
    assert probed.found["image_size"] == SIZE
    assert (probed.found["train_images"], probed.found["val_images"]) == (TRAIN, VAL)


def test_random_rows_of_different_seeds_differ(rows: dict[str, list[Row]]) -> None:
    first, second = rows[RANDOM]
    assert np.abs(first.standardised().val - second.standardised().val).mean() > 0.1


@pytest.mark.parametrize("column", COLUMNS)
def test_each_cell_by_hand(probed: Probed, expected: Any, column: Any) -> None:
    found = probed.column(*column)
    for name in (WEIGHTS, *CONTROLS):
        cells = expected[column][name]
        seeds = SEEDS if name == RANDOM or column[2] < 1 else 1
        assert len(cells.top_1) == seeds
        for place, numbers in (("top_1", cells.top_1), ("top_5", cells.top_5)):
            assert found[place][name] == [sum(right) / VAL for right in numbers], (name, place)


def test_chance_by_hand(probed: Probed) -> None:
    counts = sorted(len([*folder.iterdir()]) for folder in (probed.data / "val").iterdir())
    assert len(set(counts)) > 2
    chance = {"top_1": counts[-1] / VAL, "top_5": sum(counts[-5:]) / VAL}
    assert probed.found["chance"] == pytest.approx(chance, abs=1e-15)


def difference(ours: Cells, control: Cells) -> tuple[float, float]:
    """Mean and spread, from a list of all pairs of answers.

    Half a pair is added to each of the four ways in which two answers can be right or wrong.
    """
    each = np.mean(ours.top_1, 0) - np.mean(control.top_1, 0)
    values = np.r_[each, 1, -1, 0, 0]
    weights = np.r_[np.ones(len(each)), 0.5, 0.5, 0.5, 0.5]
    mean = np.average(values, weights=weights)
    variance = np.average((values - mean) ** 2, weights=weights) / weights.sum()
    for cells in (ours, control):
        accuracies = [sum(right) / len(right) for right in cells.top_1]
        variance += statistics.variance(accuracies) if len(accuracies) > 1 else 0
    return float(mean), float(np.sqrt(variance))


def word(mean: float, spread: float) -> str:
    assert abs(abs(mean) - 2 * spread) > 1e-9, "the word is not clear"
    if abs(mean) < 2 * spread:
        return "no better"
    return "better" if mean > 0 else "worse"


@pytest.mark.parametrize("column", COLUMNS)
def test_each_difference_by_hand(probed: Probed, expected: Any, column: Any) -> None:
    found = probed.column(*column)["differences"]
    assert list(found) == [*CONTROLS]
    for control in CONTROLS:
        cells = expected[column]
        mean, spread = difference(cells[WEIGHTS], cells[control])
        assert found[control]["mean"] == pytest.approx(mean, abs=1e-12)
        assert found[control]["spread"] == pytest.approx(spread, abs=1e-12)
        assert found[control]["word"] == word(mean, spread)


def test_the_verdict_by_hand(probed: Probed, expected: Any) -> None:
    """It says each measure by which the weights are not better than a control, and no other."""
    names = {
        ("knn", 20, 1.0): "kNN 20",
        ("knn", 3, 1.0): "kNN 3",
        ("linear", None, 1.0): "linear probe",
        ("knn", 20, 0.5): "kNN 20 at 50 %",
        ("knn", 3, 0.5): "kNN 3 at 50 %",
        ("linear", None, 0.5): "linear probe at 50 %",
    }
    assert [column["name"] for column in probed.found["columns"]] == [names[c] for c in COLUMNS]
    said: dict[str, list[str]] = {}
    helped = []
    for column in COLUMNS:
        words = {
            control: word(*difference(expected[column][WEIGHTS], expected[column][control]))
            for control in CONTROLS
        }
        if {*words.values()} == {"better"}:
            helped.append(names[column])
        for control, is_ in words.items():
            if is_ != "better":
                said.setdefault(f"{is_} than {control} by ", []).append(names[column])
    verdict = probed.found["verdict"]
    if not said:
        assert verdict.startswith("Pre-training helped: ")
        return
    start = "helped in part: " if helped else "did not show that it helped: "
    assert verdict.startswith(f"Pre-training {start}")
    clauses = verdict.removesuffix(".").split(", but " if helped else "; they are ")[1]
    found = {}
    for clause in clauses.split("; "):
        begin, end = next(
            (begin, clause[len(begin) :]) for begin in said if clause.startswith(begin)
        )
        every = end == "every measure"
        found[begin] = [*names.values()] if every else end.replace(" and ", ", ").split(", ")
    assert {begin: sorted(listed) for begin, listed in found.items()} == {
        begin: sorted(listed) for begin, listed in said.items()
    }
