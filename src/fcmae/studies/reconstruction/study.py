"""What `study reconstruction` does: every setting that is not done yet, and the findings so far."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcmae.console.screen import progress_bar, say
from fcmae.console.units import accuracy, duration
from fcmae.findings.machine import describe_run
from fcmae.findings.record import Record, Row, say_written
from fcmae.inference.loop import require_one_process
from fcmae.storage.atomic import save_tensors
from fcmae.studies.reconstruction.data import Data, open_data
from fcmae.studies.reconstruction.evaluation import measure, reconstruct
from fcmae.studies.reconstruction.options import settle
from fcmae.studies.reconstruction.page import RECONSTRUCTIONS, SETTINGS, write_findings
from fcmae.studies.reconstruction.recipe import Recipe
from fcmae.studies.reconstruction.training import Setting, num_steps, train
from fcmae.studies.runner import one_by_one
from fcmae.training.devices import Place, choose_device, choose_precision, num_readers, take_place
from fcmae.training.engine import NonFiniteError, Step
from fcmae.training.signals import Interrupt, Interrupted

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
    left = [setting for setting in settings if record.row(asdict(setting)) is None]
    with take_place(device, precision) as place:

        def trained(setting: Setting, title: str, remaining: str) -> Row:
            return _run_one(setting, recipe, data, place, f"{title}{remaining}", record.path.parent)

        rows = one_by_one(settings, left, record, trained, lambda _: write_findings(record))
    say_written(record.path.parent / "page.html")
    return rows


def _run_one(
    setting: Setting, recipe: Recipe, data: Data, place: Place, title: str, out: Path
) -> Row:
    """The row of a setting, whose weights and pictures are kept.

    Raises:
        Interrupted: after a signal; a setting begins anew then.
    """
    began = time.monotonic()
    with Interrupt() as interrupt, progress_bar() as bar:
        task = bar.add_task(title, total=num_steps(len(data.train), recipe), figures="")

        def show(step: Step) -> None:
            figures = f"loss {step.loss:.4f}  {recipe.batch_size / step.seconds:.0f} images/s"
            bar.update(task, completed=step.number, figures=figures)

        try:
            model = train(setting, recipe, data, place, interrupted=interrupt, after_step=show)
        except NonFiniteError as error:
            return {**asdict(setting), "unstable": {"doing": "training", "step": error.step}}
    if model is None:
        say(f"{setting} is not finished, and will begin anew")
        raise Interrupted(interrupt.received)
    trained = time.monotonic() - began
    row = {
        **asdict(setting),
        "unstable": None,
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
    say(
        f"{title}: MSE {row['mse']:.5f}, top-5 error {accuracy(row['top_5_error'])}, "
        f"{duration(row['seconds'])}"
    )
    return row
