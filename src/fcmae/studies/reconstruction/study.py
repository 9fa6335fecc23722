"""What `study reconstruction` does: every setting that is not done yet, and the findings so far."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcmae.checkpoint import save_tensors
from fcmae.devices import Place, choose_device, choose_precision, num_readers, take_place
from fcmae.engine import NonFiniteError, Step
from fcmae.findings.machine import describe_run
from fcmae.findings.record import Record, Row, say_written
from fcmae.report.units import accuracy, duration
from fcmae.studies.reconstruction.data import Data, open_data
from fcmae.studies.reconstruction.evaluation import measure, reconstruct
from fcmae.studies.reconstruction.options import settle
from fcmae.studies.reconstruction.page import RECONSTRUCTIONS, SETTINGS, write_findings
from fcmae.studies.reconstruction.recipe import Recipe
from fcmae.studies.reconstruction.training import Setting, num_steps, train
from fcmae.tasks.interrupt import Interrupt, Interrupted
from fcmae.tasks.measuring import require_one_process
from fcmae.tasks.screen import progress_bar, say

KEY = ("encoder", "mask_size", "seed")
WHICH = {"mask_sizes", "seeds"}  # of the recipe: which settings there are, not what they are


def run(options: dict[str, Any]) -> list[Row]:
    """Run `study reconstruction` with these options."""
    require_one_process("study reconstruction")
    recipe, encoders = settle(options)
    device, workers = choose_device(options["device"]), options["workers"]
    folder = Path(options["data"]).expanduser()
    data = open_data(folder, recipe, num_readers(device) if workers is None else workers)
    precision = choose_precision("auto", device)
    described = {
        **describe_run(device),
        "settings": {
            **{name: value for name, value in asdict(recipe).items() if name not in WHICH},
            "precision": precision,
            "images": [len(data.train), len(data.val)],
            "classes": len(data.train.classes),
            "data": str(folder.resolve()),
        },
    }
    settings = [
        Setting(encoder, size, seed)
        for seed in recipe.seeds
        for size in recipe.mask_sizes
        for encoder in encoders
    ]
    record = Record(Path(options["out"]), described, KEY, same=("settings",))
    with take_place(device, precision) as place:
        _run_all(settings, recipe, data, place, record)
    say_written(write_findings(record))
    return record.rows


def _run_all(
    settings: Sequence[Setting], recipe: Recipe, data: Data, place: Place, record: Record
) -> None:
    """Train and measure what the record does not have yet."""
    todo = [setting for setting in settings if record.row(asdict(setting)) is None]
    done = len(settings) - len(todo)
    if done:
        say(f"{done} of {len(settings)} settings are done already")
    steps, began = num_steps(len(data.train), recipe), time.monotonic()
    with Interrupt() as interrupt, progress_bar() as bar:
        task = bar.add_task("", total=steps * len(todo), figures="")
        for number, setting in enumerate(todo):
            name = f"{done + number + 1} of {len(settings)}: {setting}"
            bar.update(task, description=name)

            def show(step: Step, before: int = number * steps) -> None:
                figures = f"loss {step.loss:.4f}  {recipe.batch_size / step.seconds:.0f} images/s"
                bar.update(task, completed=before + step.number, figures=figures)

            row = _run_one(setting, recipe, data, place, interrupt, show, record.path.parent)
            if row is None:
                say(
                    f"interrupted: what is finished is kept in {record.path.parent}; the same "
                    f"command goes on, with {setting} from its beginning"
                )
                raise Interrupted(interrupt.received)
            record.add(row)
            write_findings(record)
            left = (time.monotonic() - began) / (number + 1) * (len(todo) - number - 1)
            say(f"{name}: {_in_words(row)}; about {duration(left)} left")


def _run_one(
    setting: Setting,
    recipe: Recipe,
    data: Data,
    place: Place,
    interrupt: Interrupt,
    after_step: Callable[[Step], None],
    out: Path,
) -> Row | None:
    """The row of a setting, whose weights and pictures are kept; None when interrupted."""
    began = time.monotonic()
    try:
        model = train(setting, recipe, data, place, interrupted=interrupt, after_step=after_step)
    except NonFiniteError as error:
        return {**asdict(setting), "error": f"unstable: {error}"}
    if model is None:
        return None
    trained = time.monotonic() - began
    row = {
        **asdict(setting),
        **asdict(measure(model, setting.mask_size, recipe, data, place)),
        "parameters": sum(p.numel() for p in model.encoder.parameters()),
        "seconds": round(time.monotonic() - began, 1),
        "training_seconds": round(trained, 1),
    }
    folder = out / SETTINGS / setting.name
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "weights.safetensors", model.state_dict(), row)
    pictures = reconstruct(model, setting.mask_size, recipe, data, place)
    save_tensors(folder / RECONSTRUCTIONS, pictures)
    return row


def _in_words(row: Row) -> str:
    if "error" in row:
        return str(row["error"])
    return (
        f"MSE {row['mse']:.5f}, top-5 error {accuracy(row['top_5_error'])}, "
        f"{duration(row['seconds'])}"
    )
