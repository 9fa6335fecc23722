"""What every study does: settings one after the other, each a run or two of the ordinary commands.

A setting that is done is skipped, one that was begun goes on, one whose loss stopped being a number
is a row that says so. So the same command goes on after any interruption.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fcmae.commands.finetune import finetune
from fcmae.commands.pretrain import pretrain
from fcmae.console.screen import say
from fcmae.console.units import duration
from fcmae.findings.record import Record, Row
from fcmae.training.engine import NonFiniteError
from fcmae.training.journal import METRICS, TIMING, last_seconds
from fcmae.training.run_folder import CONFIG, is_finished, read_config
from fcmae.training.signals import Interrupted

S = TypeVar("S")
KEY = ("name", "seed")
PRETRAIN, FINETUNE = "pretrain", "finetune"  # a setting's runs
# Options that may differ when a run goes on: they say where it computes and what lies where.
WHERE = {"data", "init", "device", "workers"}


@dataclass(frozen=True, slots=True)
class Setting:
    """What is trained once: one thing that a study compares, with one seed."""

    name: str
    seed: int
    pretraining: Mapping[str, Any] | None  # options of `pretrain`; None: from scratch
    finetuning: Mapping[str, Any] | None  # options of `finetune`; None: pre-training alone
    facts: Mapping[str, Any] = field(default_factory=dict)  # what else its row says

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"


def run(
    settings: Sequence[Setting],
    record: Record,
    *,
    data: Path,
    device: str = "auto",
    workers: int | None = None,
    measure: Callable[[Path], Row] | None = None,
    show: Callable[[Sequence[Row]], object],
) -> list[Row]:
    """Train every setting that has no row yet.

    Args:
        settings: in the order in which they are trained.
        record: where rows are kept, under `KEY`; the runs lie beside it in `runs/NAME/seed-N/`.
        data: folder with train/CLASS and val/CLASS.
        device: as of `pretrain`.
        workers: likewise.
        measure: what else a row says of a pre-training's run folder.
        show: is given all rows after each, to draw them.

    Returns:
        All rows: "name", "seed", the setting's facts, "machine", "loss" of pre-training's last
        epoch, "accuracy" of fine-tuning's best epoch on val, "seconds" of training, what
        `measure` says, and "unstable", None or "doing" and "step".

    Raises:
        ValueError: if a run is there that has other options.
        Interrupted: after a signal, once the run's state is saved.
    """
    shared = {"data": str(data), "device": device, "workers": workers}

    def trained(setting: Setting, title: str, remaining: str) -> Row:
        folder = record.path.parent / "runs" / setting.name / f"seed-{setting.seed}"
        row = train(setting, folder, shared, title, remaining)
        if measure is not None and "loss" in row:
            row |= measure(folder / PRETRAIN)
        return row

    left = [setting for setting in settings if not is_done(setting, record)]
    return one_by_one(settings, left, record, trained, show)


def one_by_one(
    settings: Sequence[S],
    left: Sequence[S],
    record: Record,
    train: Callable[[S, str, str], Row],
    show: Callable[[Sequence[Row]], object],
) -> list[Row]:
    """Train what is left, keep a row of each, and show them; of nothing left, what is there.

    Args:
        settings: all of the study.
        left: those of them that have no row yet.
        record: where rows are kept.
        train: is given a setting, its number and name, and how long the rest will take.
        show: is given all rows after each.
    """
    if len(left) < len(settings):
        say(f"{len(settings) - len(left)} of {len(settings)} settings are done already")
    for done, setting in enumerate(left):
        spent = [row["seconds"] for row in record.rows if "seconds" in row]
        title = f"{settings.index(setting) + 1} of {len(settings)}: {setting}"
        try:
            row = train(setting, title, estimate(spent, len(left) - done))
        except Interrupted:
            say("interrupted: the same command goes on from here")
            raise
        record.add(row | {"machine": record.run["machine"]})
        show(record.rows)
    if not left:
        show(record.rows)
    return record.rows


def train(
    setting: Setting, folder: Path, shared: Mapping[str, Any], title: str, remaining: str
) -> Row:
    """The row of one setting; a loss that stops being a number is a row too.

    Args:
        setting: what to train.
        folder: of its runs.
        shared: options of all settings.
        title: what it is called when one of its runs begins.
        remaining: how long the study will take, likewise.
    """
    row: Row = {
        "name": setting.name,
        "seed": setting.seed,
        **setting.facts,
        "unstable": None,
    }
    shared, doing = {**shared, "seed": setting.seed}, "training"
    try:
        if setting.pretraining is not None:
            doing = "pre-training"
            say(f"{title}, {doing}{remaining}")
            options = {**setting.pretraining, **shared, "data": str(Path(shared["data"]) / "train")}
            row |= carry_out(pretrain, folder / PRETRAIN, options)
            shared, doing = {**shared, "init": str(folder / PRETRAIN)}, "fine-tuning"
        if setting.finetuning is not None:
            say(f"{title}, {doing}{remaining}")
            row |= carry_out(finetune, folder / FINETUNE, {**setting.finetuning, **shared})
    except RuntimeError as error:
        if not isinstance(error.__cause__, NonFiniteError):
            raise
        row["unstable"] = {"doing": doing, "step": error.__cause__.step}
        say(f"unstable: {error}")
    row["seconds"] = sum(last_seconds(path) for path in sorted(folder.glob(f"*/{TIMING}")))
    return row


def is_done(setting: Setting, record: Record) -> bool:
    """Whether there is a row, with an accuracy where there is to be one."""
    row = record.row({"name": setting.name, "seed": setting.seed})
    if row is None:
        return False
    return setting.finetuning is None or "accuracy" in row or row["unstable"] is not None


def estimate(spent: Sequence[float], left: int) -> str:
    """How long the settings that are left will take, by the seconds of those that are done."""
    if not spent:
        return ""
    return f", about {duration(left * sum(spent) / len(spent))} left"


def carry_out(task: Callable[..., Path], folder: Path, options: Mapping[str, Any]) -> Row:
    """Run `task` in its folder, from where it was left; nothing where it is finished.

    Raises:
        ValueError: if there is a run with other options.
    """
    begun = (folder / CONFIG).exists()
    if begun:
        refuse_others(folder, options)
    if not (begun and is_finished(folder)):
        task(out=str(folder), resume=begun, **options)
    return outcome(folder)


def refuse_others(folder: Path, options: Mapping[str, Any]) -> None:
    """Refuse a run whose options are not these."""
    stored = read_config(folder).get("options", {})
    wanted = json.loads(json.dumps({**options}))  # tuples as they are read back
    lines = [
        f"  {name}: the run has {stored.get(name)!r}, now {value!r}"
        for name, value in wanted.items()
        if name not in WHERE and stored.get(name) != value
    ]
    if lines:
        raise ValueError(
            "\n".join([f"out: {folder} holds a run with other options:", *lines])
            + "\nchoose another folder, or remove this run"
        )


def outcome(folder: Path) -> Row:
    """What a finished run says of itself: a loss, or an accuracy and its epoch."""
    validation = folder / "validation.json"
    if validation.exists():
        found = json.loads(validation.read_text())
        return {"accuracy": found["accuracy"], "epoch": found["epoch"]}
    lines = map(json.loads, (folder / METRICS).read_text().splitlines())
    return {"loss": [line["loss"] for line in lines if line["kind"] == "epoch"][-1]}
