"""What `probe` does: features of three rows, then every column from them."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

import fcmae
from fcmae.commands.probe import Probe
from fcmae.console.screen import progress_bar, say
from fcmae.errors import check_target
from fcmae.images import Labelled, TooManyUnreadable, open_splits, share
from fcmae.inference.outputs import Reading, make_reading, require_one_process
from fcmae.inference.trained import load_backbone
from fcmae.models.encoder import Backbone, Encoder
from fcmae.probes import Features, Network, colour_histogram, extract, pooled
from fcmae.probes.rows import Measure, Pair, score_rows, summary
from fcmae.probes.table import table_of
from fcmae.storage.atomic import write_text
from fcmae.training.devices import Place, choose_device, choose_precision


def run(options: Probe) -> dict[str, Any]:
    """Run `probe` with these options."""
    require_one_process("probe")
    target = Path(options.json).expanduser() if options.json else None
    if target:
        check_target("json", target)
    device = choose_device(options.device)
    place = Place(device, choose_precision(options.precision, device))
    data = options.data
    train, val = open_splits(data if data == "sample" else Path(data).expanduser())
    shares, k = tuple(dict.fromkeys(options.label_share)), tuple(dict.fromkeys(options.k))
    seeds = options.seeds
    parts = draw(train, shares, k, seeds)
    weights = str(Path(options.weights).expanduser())
    trained = load_backbone(weights, options.key)
    backbone, described = trained.backbone, trained.description
    reading = make_reading(
        backbone,
        described,
        image_size=options.image_size,
        batch_size=options.batch_size,
        workers=options.workers,
        device=device,
    )
    assumed = described.assumption(size_given=options.image_size is not None)
    if assumed:
        say(assumed)
    pairs, unreadable = features_of(
        networks(backbone, reading, place, seeds), train, val, reading, place
    )
    measures = [Measure(part, number) for part in parts for number in (*k, None)]
    rows = score_rows(pairs, parts, k, len(train.classes), place)
    result = {
        "weights": weights,
        "model": backbone.model,
        "data": str(data),
        "classes": train.classes,
        "train_images": len(pairs[0].train.labels),
        "val_images": len(pairs[0].val.labels),
        "unreadable": unreadable,
        "image_size": reading.size,
        "mean": reading.mean,
        "std": reading.std,
        "assumed": assumed,
        "seeds": seeds,
        "device": str(device),
        "precision": place.precision,
        "versions": {"fcmae": fcmae.__version__, "torch": torch.__version__},
        **summary(measures, rows, pairs[0].val.labels),
    }
    screen = Console(highlight=False)
    screen.print(table_of(result))
    screen.print(result["verdict"], markup=False)
    if unreadable:
        say(f"{len(unreadable)} files could not be read; the first: {next(iter(unreadable))}")
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
    parts: dict[float, list[Tensor]] = {}
    for part in shares:
        parts[part] = []
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
            parts[part].append(torch.tensor(kept))
    return parts


def networks(backbone: Backbone, reading: Reading, place: Place, seeds: int) -> list[Network]:
    """The given one, random ones of its kind, and the histogram, in this order."""
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
                )
            )
    mean, std = reading.mean, reading.std
    found = [pooled(encoder.to(place.device), mean, std, place) for encoder in encoders]
    return [*found, colour_histogram(mean, std)]


def features_of(
    found: Sequence[Network], train: Labelled, val: Labelled, reading: Reading, place: Place
) -> tuple[list[Pair], dict[str, str]]:
    """The features that each network gives, and the files that could not be read."""
    sides: list[list[Features]] = []
    unreadable: dict[str, str] = {}
    with progress_bar() as bar:
        for title, images in (("train", train), ("val", val)):
            task = bar.add_task(f"features of {title}", total=len(images), figures="")
            try:
                features, failed = extract(
                    found,
                    images,
                    image_size=reading.size,
                    channels=reading.channels,
                    place=place,
                    batch_size=reading.batch_size,
                    workers=reading.workers,
                    done=functools.partial(bar.advance, task),
                )
            except TooManyUnreadable as error:
                raise ValueError(
                    f"{error}\nThe weights take images of {reading.channels} channels"
                ) from error
            unreadable |= {f"{title}/{name}": reason for name, reason in failed.state()}
            sides.append(features)
    return [Pair(*pair) for pair in zip(*sides, strict=True)], unreadable
