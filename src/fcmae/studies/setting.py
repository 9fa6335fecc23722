"""One setting with one seed: a run or two of the ordinary commands, gone on with where they were.

A run that is finished is read, one that was begun goes on, one whose loss stopped being a number is
a row that says so.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from fcmae.commands.finetune import finetune
from fcmae.commands.pretrain import pretrain
from fcmae.console.screen import say
from fcmae.studies.results import Row
from fcmae.studies.scale import Keywords
from fcmae.studies.study import Setting
from fcmae.training.engine import NonFiniteError
from fcmae.training.journal import METRICS, TIMING, last_seconds
from fcmae.training.run_folder import CONFIG, is_finished, read_config

PRETRAIN, FINETUNE = "pretrain", "finetune"  # a setting's runs
# Options that may differ when a run goes on: they say where it computes and what lies where.
WHERE = {"data", "init", "device", "workers"}


def train(
    setting: Setting, folder: Path, shared: Mapping[str, object], say_begun: Callable[[str], object]
) -> Row:
    """What came of a setting; a loss that stops being a number is a result too.

    Args:
        setting: what to train.
        folder: of its runs.
        shared: options of both runs; the data are a folder of train/CLASS and val/CLASS.
        say_begun: is told what begins.

    Returns:
        "unstable", None or "doing" and "step"; "loss" of pre-training's last epoch; "accuracy" of
        fine-tuning's best epoch on val, and the "epoch"; "seconds" of training.

    Raises:
        ValueError: if a run is there that has other options.
        Interrupted: after a signal, once the run's state is saved.
    """
    row: Row = {"unstable": None}
    doing = "training"
    try:
        if setting.pretraining is not None:
            doing = "pre-training"
            say_begun(doing)
            options = {**setting.pretraining, **shared, "data": f"{shared['data']}/train"}
            row |= carry_out(pretrain, folder / PRETRAIN, options)
            shared, doing = {**shared, "init": str(folder / PRETRAIN)}, "fine-tuning"
        if setting.finetuning is not None:
            say_begun(doing)
            row |= carry_out(finetune, folder / FINETUNE, {**setting.finetuning, **shared})
    except RuntimeError as error:
        if not isinstance(error.__cause__, NonFiniteError):
            raise
        row["unstable"] = {"doing": doing, "step": error.__cause__.step}
        say(f"unstable: {error}")
    row["seconds"] = sum(last_seconds(path) for path in sorted(folder.glob(f"*/{TIMING}")))
    return row


def carry_out(command: Callable[..., Path], folder: Path, options: Keywords) -> Row:
    """Run `command` in its folder, from where it was left; nothing where it is finished.

    Raises:
        ValueError: if there is a run with other options.
    """
    begun = (folder / CONFIG).exists()
    if begun:
        refuse_others(folder, options)
    if not (begun and is_finished(folder)):
        command(out=str(folder), resume=begun, **options)
    return result_of(folder)


def refuse_others(folder: Path, options: Keywords) -> None:
    """Refuse a run whose options are not these."""
    stored = read_config(folder).get("options", {})
    wanted = json.loads(json.dumps(options))  # tuples as they are read back
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


def result_of(folder: Path) -> Row:
    """What a finished run says of itself: a loss, or an accuracy and its epoch."""
    validation = folder / "validation.json"
    if validation.exists():
        found = json.loads(validation.read_text())
        return {"accuracy": found["accuracy"], "epoch": found["epoch"]}
    lines = map(json.loads, (folder / METRICS).read_text().splitlines())
    return {"loss": [line["loss"] for line in lines if line["kind"] == "epoch"][-1]}
