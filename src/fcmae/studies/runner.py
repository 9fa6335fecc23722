"""What every study does: options checked, settings trained one after the other, and shown.

Each row is kept when it is there, so the same command goes on after any interruption.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from fcmae.console.screen import say
from fcmae.console.units import duration
from fcmae.images import Labelled, open_splits, share
from fcmae.inference.loop import require_one_process
from fcmae.report.record import Record, describe_run, say_written
from fcmae.studies import page, scale
from fcmae.studies.results import Row
from fcmae.studies.scale import NO_TABLE, Scale
from fcmae.studies.setting import PRETRAIN, train
from fcmae.studies.study import ComparisonOptions, Setting, Settings, Study, each_once
from fcmae.studies.subset import SALTS, drawn, part_of
from fcmae.training.devices import choose_device
from fcmae.training.plan import default_batch_size
from fcmae.training.recipe import override
from fcmae.training.signals import Interrupted

S = TypeVar("S")
KEY = ("name", "seed")
WHICH = {"seeds"}  # of a scale: which settings there are, not what they are


def run(
    study: Study,
    options: ComparisonOptions,
    settings_of: Settings,
    measure: Callable[[Path, Path], Row] | None = None,
) -> list[Row]:
    """Train every setting that has no row yet; figure and page are written after each.

    Args:
        study: what it claims and shows.
        options: of its command.
        settings_of: what is trained at a scale.
        measure: what else a row says of a pre-training's run folder; is given the images too.

    Returns:
        All rows: "name", "seed", "model", the setting's facts, what `setting.train` and `measure`
        say, and "machine". The runs lie in OUT/runs/NAME/seed-N/.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
        Interrupted: after a signal, once the run's state is saved.
    """
    require_one_process(f"study {study.name}")
    chosen = override(scale.scale_of(options.scale, long=study.long), options.set)
    scale.check(chosen, study.parts)
    seeds = each_once("seeds", options.seeds or tuple(range(chosen.seeds)))
    for seed in seeds:
        if seed < 0:
            raise ValueError(f"seeds {seed}: numbers from 0 are needed")
    data, record = open_images(study, options, chosen)
    folder = record.path.parent
    shared = {"data": str(data), "device": options.device, "workers": options.workers}
    settings = {
        (name, seed): setting for seed in seeds for name, setting in settings_of(chosen).items()
    }

    def train_one(key: tuple[str, int], title: str, remaining: str) -> Row:
        (name, seed), setting = key, settings[key]
        runs = folder / "runs" / name / f"seed-{seed}"
        row = {"name": name, "seed": seed, "model": setting.model, **setting.facts}
        row |= train(
            setting,
            runs,
            shared | {"seed": seed},
            lambda doing: say(f"{title}, {doing}{remaining}"),
        )
        if measure is not None and "loss" in row:
            row |= measure(runs / PRETRAIN, data)
        return row

    titles = {key: f"{key[0]}, seed {key[1]}" for key in settings}
    left = [key for key, setting in settings.items() if not is_done(key, setting, record)]
    one_by_one(titles, left, record, train_one, lambda: page.write(study, record))
    return record.rows


def open_images(study: Study, options: ComparisonOptions, chosen: Scale) -> tuple[Path, Record]:
    """The images of a scale, and what there is of its rows.

    Returns:
        The user's folder, or one of links to a part of it; and the rows.
    """
    device = choose_device(options.device)
    data, out = (Path(path).expanduser().absolute() for path in (options.data, options.out))
    splits = open_splits(data)
    if out.resolve().is_relative_to(data.resolve()):
        raise ValueError(f"out {out} lies inside data {data}: choose a folder outside")
    numbers = (chosen.num_images, chosen.num_val_images)
    train, val = (
        drawn(images, number, salt)
        for images, number, salt in zip(splits, numbers, SALTS.values(), strict=True)
    )
    check_batches(chosen, study.parts, train)
    values = {name: value for name, value in asdict(chosen).items() if name not in WHICH}
    settings = {
        "study": study.name,
        "scale": options.scale,
        **values,
        "data": str(data),
        "images": [len(train), len(val)],
        "classes": len(train.classes),
    }
    record = Record(out, {**describe_run(device), "settings": settings}, KEY, same=("settings",))
    return part_of(data, out / "images", train=numbers[0], val=numbers[1]), record


def check_batches(chosen: Scale, parts: Sequence[str], train: Labelled) -> None:
    """Refuse batches that are larger than what there is to train on."""
    labelled = share(train, chosen.label_share, seed=0)
    for part in parts:
        images = train if part in NO_TABLE else labelled
        batch = getattr(chosen, f"{part}_batch_size")
        if batch > len(images):
            raise ValueError(
                f"{part}_batch_size {batch} is more than the {len(images)} images to train on: "
                f"--set {part}_batch_size={default_batch_size(len(images), batch)}, or more images "
                "or labels (num_images, label_share)"
            )


def is_done(key: tuple[str, int], setting: Setting, record: Record) -> bool:
    """Whether there is a row, with an accuracy where there is to be one."""
    row = record.row(dict(zip(KEY, key, strict=True)))
    if row is None:
        return False
    return setting.finetuning is None or "accuracy" in row or row["unstable"] is not None


def one_by_one(
    titles: dict[S, str],
    left: Sequence[S],
    record: Record,
    train_one: Callable[[S, str, str], Row],
    show: Callable[[], object],
) -> None:
    """Train what is left, keep a row of each, and show all rows after each.

    Args:
        titles: what the settings of the study are called.
        left: those of them that have no row yet.
        record: where rows are kept.
        train_one: is given a setting, its number and title, and how long the rest will take.
        show: writes the page, which it does if nothing is left too.
    """
    if len(left) < len(titles):
        say(f"{len(titles) - len(left)} of {len(titles)} settings are done already")
    places = {key: place for place, key in enumerate(titles, 1)}
    for done, key in enumerate(left):
        spent = [row["seconds"] for row in record.rows if "seconds" in row]
        title = f"{places[key]} of {len(titles)}: {titles[key]}"
        try:
            row = train_one(key, title, estimate(spent, len(left) - done))
        except Interrupted:
            say("interrupted: the same command goes on from here")
            raise
        record.add(row | {"machine": record.run["machine"]})
        show()
    if not left:
        show()
    say_written(record.path.parent / "page.html")


def estimate(spent: Sequence[float], left: int) -> str:
    """How long the settings that are left will take, by the seconds of those that are done."""
    if not spent:
        return ""
    return f", about {duration(left * sum(spent) / len(spent))} left"
