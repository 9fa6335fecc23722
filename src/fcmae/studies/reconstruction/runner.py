"""What `study reconstruction` does: every setting that is not done yet, and the findings so far."""

import time
from dataclasses import asdict, replace
from pathlib import Path

from fcmae.console.screen import progress_bar, say
from fcmae.console.units import accuracy, duration
from fcmae.errors import unknown
from fcmae.inference.loop import require_one_process
from fcmae.models.masks import num_visible, patch_grid
from fcmae.report.record import Record, describe_run
from fcmae.storage.atomic import save_tensors
from fcmae.studies.reconstruction import ENCODERS, SCALES, Recipe, Reconstruction, Setting
from fcmae.studies.reconstruction.evaluation import measure, reconstruct
from fcmae.studies.reconstruction.page import RECONSTRUCTIONS, SETTINGS, write_page
from fcmae.studies.reconstruction.training import Data, open_data, train
from fcmae.studies.results import Row
from fcmae.studies.runner import one_by_one
from fcmae.studies.study import each_once, some_of
from fcmae.training.devices import (
    Runtime,
    choose_device,
    choose_precision,
    num_readers,
    start_runtime,
)
from fcmae.training.engine import NonFiniteError, Step
from fcmae.training.signals import Interrupt, Interrupted

KEY = ("encoder", "mask_size", "seed")
WHICH = {"mask_sizes", "seeds"}  # of the recipe: which settings there are, not what they are
LISTS = ("mask_sizes", "seeds")
NUMBERS = ("epochs", "num_images", "batch_size", "image_size")


def run_reconstruction(options: Reconstruction) -> list[Row]:
    """Run `study reconstruction` with these options."""
    require_one_process("study reconstruction")
    recipe, encoders = recipe_of(options)
    device, workers = choose_device(options.device), options.workers
    folder = Path(options.data).expanduser()
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
    titles = {
        setting: str(setting)
        for seed in recipe.seeds
        for size in recipe.mask_sizes
        for encoder in encoders
        for setting in [Setting(encoder, size, seed)]
    }
    record = Record(Path(options.out), described, KEY, same=("settings",))
    left = [setting for setting in titles if record.row(asdict(setting)) is None]
    with start_runtime(device, precision) as runtime:

        def train_one(setting: Setting, title: str, remaining: str) -> Row:
            return run_one(setting, data, runtime, f"{title}{remaining}", record.path.parent)

        one_by_one(titles, left, record, train_one, lambda: write_page(record))
    return record.rows


def recipe_of(options: Reconstruction) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe of a scale, with what was given in its place, and the encoders.

    Raises:
        ValueError: naming the option that cannot be.
    """
    if options.scale not in SCALES:
        raise unknown("scale", options.scale, SCALES)
    for name in LISTS:
        each_once(name, getattr(options, name))
    encoders = some_of("encoder", options.encoders, ENCODERS)
    chosen = {name: getattr(options, name) for name in (*LISTS, *NUMBERS)}
    for name in NUMBERS:
        if chosen[name] is not None and chosen[name] < 1:
            raise ValueError(f"{name} {chosen[name]}: at least 1 is needed")
    if options.workers is not None and options.workers < 0:
        raise ValueError(f"workers {options.workers} is negative: 0 reads in the same process")
    recipe = replace(SCALES[options.scale], **{n: value for n, value in chosen.items() if value})
    check_sizes(recipe)
    return recipe, encoders


def check_sizes(recipe: Recipe) -> None:
    """Refuse sizes that do not divide each other."""
    side, stride = recipe.image_size, recipe.stem_stride
    if side % stride:
        raise ValueError(
            f"image_size {side} is not a multiple of {stride}, the pixels a side of a position: "
            f"give {side + stride - side % stride}"
        )
    for size in recipe.mask_sizes:
        if size < 1:
            raise ValueError(f"mask_sizes {size}: at least 1 pixel is needed")
        try:
            rows, columns = patch_grid(side, side, size)
            num_visible(rows * columns, recipe.mask_ratio)
        except ValueError as error:
            raise ValueError(f"mask_sizes {size}: {error}") from error


def run_one(setting: Setting, data: Data, runtime: Runtime, title: str, out: Path) -> Row:
    """The row of a setting, whose weights and pictures are kept.

    Raises:
        Interrupted: after a signal; a setting begins anew then.
    """
    began = time.monotonic()
    with Interrupt() as interrupt, progress_bar() as bar:
        task = bar.add_task(title, total=data.num_steps, figures="")

        def show(step: Step) -> None:
            speed = data.recipe.batch_size / step.seconds
            figures = f"loss {step.loss:.4f}  {speed:.0f} images/s"
            bar.update(task, completed=step.number, figures=figures)

        try:
            model = train(setting, data, runtime, interrupted=interrupt, after_step=show)
        except NonFiniteError as error:
            return {**asdict(setting), "unstable": {"doing": "training", "step": error.step}}
    if model is None:
        say(f"{setting} is not finished, and will begin anew")
        raise Interrupted(interrupt.received)
    trained = time.monotonic() - began
    row = {
        **asdict(setting),
        "unstable": None,
        **measure(model, setting.mask_size, data, runtime),
        "parameters": sum(p.numel() for p in model.encoder.parameters()),
        "seconds": round(time.monotonic() - began, 1),
        "training_seconds": round(trained, 1),
    }
    folder = out / SETTINGS / setting.name
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "weights.safetensors", model.state_dict(), row)
    pictures = reconstruct(model, setting.mask_size, data, runtime)
    save_tensors(folder / RECONSTRUCTIONS, pictures)
    say(
        f"{title}: MSE {row['mse']:.5f}, top-5 error {accuracy(row['top_5_error'])}, "
        f"{duration(row['seconds'])}"
    )
    return row
