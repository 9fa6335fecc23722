"""What `probe` does: features of three rows, then every column from them."""

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from fcmae.commands.probe import Probe
from fcmae.console.screen import progress_bar
from fcmae.errors import check_target
from fcmae.images import Labelled, TooManyUnreadable, open_splits, share
from fcmae.inference.load import load_backbone
from fcmae.inference.loop import (
    Preprocessing,
    choose_preprocessing,
    pooled,
    require_one_process,
    say_unreadable,
)
from fcmae.models.encoder import Backbone, Encoder
from fcmae.probes.comparison import (
    HISTOGRAM,
    RANDOM,
    WEIGHTS,
    Column,
    Score,
    score,
    summary,
    table_of,
)
from fcmae.probes.features import Features, colour_histogram, extract, standardise
from fcmae.probes.knn import nearest_neighbours
from fcmae.probes.linear import fit_linear_probe
from fcmae.storage.atomic import write_text
from fcmae.storage.versions import versions
from fcmae.training.devices import Runtime, choose_device, choose_precision


@dataclass(frozen=True, slots=True)
class Pair:
    """The features that one network gives: to learn from, and to be counted on."""

    train: Features
    val: Features

    def labelled(self, kept: Tensor) -> tuple[Features, Features]:
        """Of the former those of the train images that are kept, bool [images]; and the latter."""
        return self.train.rows(kept[self.train.indices]), self.val


def run_probe(options: Probe) -> dict[str, Any]:
    """Run `probe` with these options."""
    require_one_process("probe")
    target = Path(options.json).expanduser() if options.json else None
    if target:
        check_target("json", target)
    device = choose_device(options.device)
    runtime = Runtime(device, choose_precision(options.precision, device))
    train, val = open_splits(os.path.expanduser(options.data))
    shares, k = tuple(dict.fromkeys(options.label_share)), tuple(dict.fromkeys(options.k))
    draws = draw(train, shares, k, options.seeds)
    backbone, _, description = load_backbone(options.weights, options.key)
    preprocessing = choose_preprocessing(options, backbone, description, device)
    encoders = [encoder.to(device) for encoder in encoders_of(backbone, options.seeds)]
    pairs, unreadable = features_of(encoders, train, val, preprocessing, runtime)
    columns = [Column(part, number) for part in draws for number in (*k, None)]
    rows = score_rows(pairs, draws, k, len(train.classes), runtime)
    result = {
        "weights": description.weights,
        "model": backbone.model,
        "data": str(options.data),
        "classes": train.classes,
        "train_images": len(pairs[0].train.labels),
        "val_images": len(pairs[0].val.labels),
        "unreadable": unreadable,
        "image_size": preprocessing.size,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "assumed": description.assumption(size_given=options.image_size is not None),
        "seeds": options.seeds,
        "device": str(device),
        "precision": runtime.precision,
        "versions": versions("fcmae", "torch"),
        **summary(columns, rows, pairs[0].val.labels),
    }
    screen = Console(highlight=False)
    screen.print(table_of(result))
    screen.print(result["verdict"], markup=False)
    say_unreadable(unreadable)
    if target:
        write_text(target, json.dumps(result, indent=1) + "\n")
        screen.print(f"Wrote {target}", markup=False, soft_wrap=True)
    return result


def draw(
    train: Labelled, shares: Sequence[float], k: Sequence[int], seeds: int
) -> dict[float, list[Tensor]]:
    """For each share of the labels the images that are kept, bool [images], a seed each.

    Raises:
        ValueError: naming the option that cannot be.
    """
    for name, values in (("k", k), ("label_share", shares)):
        if not values:
            raise ValueError(f"{name} is empty: give one value at least")
    if seeds < 1:
        raise ValueError(f"seeds {seeds}: at least 1 is needed; with 1, seeds have no spread")
    draws: dict[float, list[Tensor]] = {}
    for part in shares:
        draws[part] = []
        for seed in range(1 if part == 1 else seeds):
            drawn = share(train, part, seed)
            for number in k:
                if not 1 <= number <= len(drawn):
                    more = ", or a larger label share" if number > 0 and part < 1 else ""
                    raise ValueError(
                        f"k {number}: label share {part:g} leaves {len(drawn)} images; give k from "
                        f"1 to {len(drawn)}{more}"
                    )
            names = {drawn.name(index) for index in range(len(drawn))}
            kept = [train.name(index) in names for index in range(len(train))]
            draws[part].append(torch.tensor(kept))
    return draws


def encoders_of(backbone: Backbone, seeds: int) -> list[Backbone]:
    """The loaded backbone, and random ones of its kind, in evaluation mode."""
    encoders: list[Backbone] = [backbone]
    for seed in range(seeds):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoders.append(
                Encoder(
                    backbone.model,
                    in_channels=backbone.in_channels,
                    stem_stride=backbone.stem_stride,
                    response=backbone.response,
                ).eval()
            )
    return encoders


def features_of(
    encoders: Sequence[Backbone],
    train: Labelled,
    val: Labelled,
    preprocessing: Preprocessing,
    runtime: Runtime,
) -> tuple[list[Pair], dict[str, str]]:
    """The features of each encoder, then the histograms; and the files that could not be read."""
    mean, std, channels = preprocessing.mean, preprocessing.std, preprocessing.channels
    centre, scale = (torch.tensor(x, device=runtime.device).view(-1, 1, 1) for x in (mean, std))
    # Histograms are of the pixels as they are.
    plain = dataclasses.replace(preprocessing, mean=(0.0,) * channels, std=(1.0,) * channels)

    def forward(pixels: Tensor) -> list[Tensor]:
        images = (pixels - centre) / scale
        features = [pooled(encoder, images) for encoder in encoders]
        return [*features, colour_histogram(pixels, mean, std)]

    sides: list[list[Features]] = []
    unreadable: dict[str, str] = {}
    for split, images in (("train", train), ("val", val)):
        try:
            features, failed = extract(
                forward, images, plain, runtime, title=f"features of {split}"
            )
        except TooManyUnreadable as error:
            raise ValueError(f"{error}\nThe weights take images of {channels} channels") from error
        unreadable |= {f"{split}/{name}": reason for name, reason in failed.state()}
        sides.append(features)
    return [Pair(*pair) for pair in zip(*sides, strict=True)], unreadable


def score_rows(
    pairs: Sequence[Pair],
    draws: dict[float, list[Tensor]],
    k: Sequence[int],
    num_classes: int,
    runtime: Runtime,
) -> dict[str, list[Score]]:
    """Every cell of the table, by row: for each share of the labels every K, then the linear probe.

    Scores of a share below 1 have as many seeds as it was drawn with; random weights of one seed
    go with its draw. For nearest neighbours the histogram is compared as it is: its scale means
    something, and it is the stronger control.
    """
    # float64, which the linear probe needs, is not on every device.
    device = runtime.device if runtime.device.type == "cuda" else torch.device("cpu")
    pairs = [Pair(pair.train.to(device), pair.val.to(device)) for pair in pairs]
    scaled = [Pair(*standardise(pair.train, pair.val)) for pair in pairs]
    near = [*scaled[:-1], pairs[-1]]
    members = {WEIGHTS: [0], RANDOM: [*range(1, len(pairs) - 1)], HISTOGRAM: [len(pairs) - 1]}
    labels = pairs[0].val.labels
    rows: dict[str, list[Score]] = {name: [] for name in members}
    with progress_bar() as bar:
        task = bar.add_task("probes", total=len(rows) * len(draws), figures="")
        for name, numbers in members.items():
            for of_share in draws.values():
                answers = []
                for seed in range(max(len(numbers), len(of_share))):
                    number = numbers[seed % len(numbers)]
                    kept = of_share[seed % len(of_share)].to(device)
                    bank, queries = near[number].labelled(kept)
                    fitted, counted = scaled[number].labelled(kept)
                    votes = nearest_neighbours(bank, queries, num_classes, k)
                    logits = fit_linear_probe(fitted, num_classes)(counted.values)
                    answers.append([*votes, logits])
                rows[name] += [score(column, labels) for column in zip(*answers, strict=True)]
                bar.advance(task)
    return rows
