"""What `pretrain` does once its options are known: settle the plan, take the folder, run."""

import datetime
import math
import os
import platform
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

import fcmae
from fcmae.devices import choose_device, choose_precision, take_place
from fcmae.encoder import Encoder
from fcmae.images import IMAGENET_MEAN, IMAGENET_STD, ImageSet, channel_statistics, open_images
from fcmae.sizes import size_of
from fcmae.tasks import run_folder
from fcmae.tasks.interrupt import Interrupt
from fcmae.tasks.looks import choose
from fcmae.tasks.plan import Plan, settle
from fcmae.tasks.pretraining_task import PretrainingTask
from fcmae.tasks.screen import announce, say, shown
from fcmae.tasks.training import Pace, Training

# Options that a resumed run does not take from the run: they are about this start of it alone.
OF_THIS_START = {"out", "dry_run", "resume", "overwrite"}


def start(options: dict[str, Any], given: Collection[str]) -> Path:
    """Run `pretrain` with these options, of which those named in `given` were written out."""
    out = Path(options["out"]).expanduser().absolute()
    first = int(os.environ.get("RANK", "0")) == 0
    if first:
        run_folder.check(out, resume=options["resume"], overwrite=options["overwrite"])
    stored = run_folder.read_config(out) if options["resume"] else None
    options = complete(options, given, stored)
    refuse_inside(out, options["data"])
    size_of(options["model"])  # an unknown model is said before images are read
    device = choose_device(options["device"])
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    images = open_images(options["data"])
    plan = make_plan(options, given, images, device, stored and stored["plan"])
    pace = make_pace(options, plan.batch_size, device, processes)
    pictures = choose(images, plan.in_channels, plan.image_size) if first else None
    if stored is not None:
        run_folder.compare(plan.as_dict(), stored["plan"])
    if first:
        announce(plan, details(plan, str(device)))
        if stored is not None:
            warn_of_rounding(stored, options, device, processes)
    if options["dry_run"]:
        return out
    with take_place(device, plan.precision) as place, Interrupt() as interrupt:
        blocks = pace.checkpoint_blocks
        task = PretrainingTask(out, plan, images, pictures, place, checkpoint_blocks=blocks)
        training = Training(out, task, place, pace, interrupt, resumed=stored is not None)
        if not place.first:
            training.run()
            return out
        resume, overwrite = options["resume"], options["overwrite"]
        with run_folder.RunFolder(out, resume=resume, overwrite=overwrite) as folder:
            if stored is None:
                folder.write_config(describe(options, plan, str(device), processes))
            training.run()
    return out


def complete(
    options: dict[str, Any], given: Collection[str], stored: dict[str, Any] | None
) -> dict[str, Any]:
    """The options with the data's whole path, and with those that a resumed run has stored."""
    data = options["data"]
    if data not in (None, "sample"):
        options = options | {"data": str(Path(data).expanduser().absolute())}
    if stored is not None:
        return run_folder.merge(options, given, stored["options"])
    if data is None:
        raise ValueError("data is missing: give --data, a folder of images, a .txt file or sample")
    return options


def refuse_inside(out: Path, data: str) -> None:
    """Refuse a run folder in the folder of images, by whatever links."""
    if data != "sample" and out.resolve().is_relative_to(Path(data).resolve()):
        raise ValueError(
            f"out {out} lies inside data {data}: the run's own pictures would be taken for "
            "images; choose a folder outside"
        )


def make_plan(
    options: dict[str, Any],
    given: Collection[str],
    images: ImageSet,
    device: torch.device,
    stored: dict[str, Any] | None,
) -> Plan:
    """The plan that these options come to for these images.

    What was measured or found out when a run began is kept when it is resumed: measuring again
    could differ in the last bit.
    """
    channels, statistics = options["in_channels"], options["statistics"]
    if stored is None or "statistics" in given:
        mean, std = normalisation(statistics, channels, images)
    else:
        mean, std = tuple(stored["mean"]), tuple(stored["std"])
    if stored is None or "precision" in given:
        precision = choose_precision(options["precision"], device)
    else:
        precision = stored["precision"]
    return settle(
        data=options["data"],
        images=len(images),
        names=[images.name(index) for index in range(len(images))],
        model=options["model"],
        in_channels=channels,
        stem_stride=options["stem_stride"],
        patch_size=options["patch_size"],
        image_size=parse_image_size(options["image_size"]),
        mask_ratio=options["mask_ratio"],
        batch_size=options["batch_size"],
        epochs=options["epochs"],
        seed=options["seed"],
        precision=precision,
        mean=mean,
        std=std,
        assignments=tuple(options["set"]),
        given=given,
    )


def make_pace(
    options: dict[str, Any], batch_size: int, device: torch.device, processes: int
) -> Pace:
    """How the work is cut up, which does not decide what comes out."""
    if batch_size % processes:
        raise ValueError(
            f"batch size {batch_size} cannot be shared equally by {processes} processes"
        )
    micro, workers, minutes = (
        options[name] for name in ("micro_batch_size", "workers", "checkpoint_minutes")
    )
    if micro is not None and micro < 1:
        raise ValueError(f"micro_batch_size {micro}: at least 1 is needed")
    if workers is not None and workers < 0:
        raise ValueError(f"workers {workers}: 0 or more is needed; 0 reads in the same process")
    if not 0 <= minutes < math.inf:
        raise ValueError(f"checkpoint_minutes {minutes}: 0 or more is needed")
    if workers is None:
        on_cpu = device.type == "cpu"
        workers = 1 if on_cpu else min(8, max((os.cpu_count() or 1) // processes, 1))
    local = batch_size // processes
    return Pace(
        local_batch_size=local,
        micro_batch_size=min(micro or 64, local),
        checkpoint_blocks=options["checkpoint_blocks"],
        workers=workers,
        seconds_between_checkpoints=60 * minutes,
    )


def warn_of_rounding(
    stored: dict[str, Any], options: dict[str, Any], device: torch.device, processes: int
) -> None:
    """Say so when a run is resumed in a way in which sums are taken in another order."""
    changes = [
        (name, before, now)
        for name, before, now in (
            ("device", stored["device"].partition(":")[0], device.type),
            ("processes", stored["processes"], processes),
            (
                "micro_batch_size",
                stored["options"].get("micro_batch_size"),
                options["micro_batch_size"],
            ),
        )
        if before != now
    ]
    if changes:
        changed = "; ".join(f"{name} {before} -> {now}" for name, before, now in changes)
        say(f"resumed with {changed}: equal to the run without it up to rounding, not to the bit")


def normalisation(
    statistics: str, channels: int, images: ImageSet
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel."""
    if statistics not in ("auto", "imagenet", "data"):
        raise ValueError(f"statistics {statistics!r} is not known: auto, imagenet or data")
    if statistics == "imagenet" and channels != 3:
        raise ValueError(f"statistics imagenet are of 3 channels, not {channels}: use data")
    if channels < 1:
        raise ValueError(f"in_channels {channels}: at least 1 is needed")
    if statistics == "data" or channels != 3:
        return channel_statistics(images, channels)
    return IMAGENET_MEAN, IMAGENET_STD


def parse_image_size(image_size: int | str) -> tuple[int, int]:
    """224 -> (224, 224); "160x96" -> height 160, width 96."""
    numbers = str(image_size).lower().split("x")
    if len(numbers) > 2 or not all(number.strip().isdecimal() for number in numbers):
        raise ValueError(
            f"image size {image_size!r} is not a number or HEIGHTxWIDTH, like 224 or 160x96"
        )
    height, width = (int(number) for number in (numbers * 2)[:2])
    return height, width


def details(plan: Plan, device: str) -> list[tuple[str, str]]:
    """What `--dry-run` and every run print first."""
    recipe, (height, width) = plan.recipe, plan.image_size
    return [
        ("model", f"{plan.model}, {plan.in_channels} channels, stem stride {plan.stem_stride}"),
        ("data", f"{plan.data}: {plan.images} images"),
        ("image size", f"{height} x {width} pixels, patches of {plan.patch_size}"),
        (
            "mask",
            f"{plan.patches - plan.visible_patches} of {plan.patches} patches "
            f"({plan.real_mask_ratio:.1%} for a ratio of {plan.mask_ratio:g})",
        ),
        (
            "steps",
            f"{plan.steps} = {plan.epochs} epochs x {plan.steps_per_epoch}, "
            f"batch size {plan.batch_size}",
        ),
        (
            "learning rate",
            f"{plan.learning_rate:.3g} = {recipe.base_learning_rate:g} x {plan.batch_size} / 256, "
            f"warm-up {plan.warmup_steps} steps, then a cosine to {recipe.minimum_learning_rate:g}",
        ),
        ("weight decay", f"{recipe.weight_decay:g}, {EXEMPT[recipe.decay_exempt]}"),
        ("normalisation", f"mean {_rounded(plan.mean)}; deviation {_rounded(plan.std)}"),
        ("device", f"{device}, {plan.precision}"),
    ]


EXEMPT = {
    "fixed": "not of biases, norms, GRN and the mask token",
    "paper-code": "not of biases and norms; GRN and the mask token decay, as in the authors' code",
}


def _rounded(values: tuple[float, ...]) -> str:
    return shown([round(value, 4) for value in values])


def describe(options: dict[str, Any], plan: Plan, device: str, processes: int) -> dict[str, Any]:
    """What `config.json` says of a new run."""
    settled = plan.as_dict()
    return {
        "command": _command(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "task": "pretrain",
        "model": {
            "name": plan.model,
            "in_channels": plan.in_channels,
            "stem_stride": plan.stem_stride,
            "parameters": _encoder_parameters(plan),
        },
        "data": {"path": plan.data, "images": plan.images},
        "image_size": plan.image_size,
        "patch_size": plan.patch_size,
        "mask_ratio": plan.mask_ratio,
        "real_mask_ratio": plan.real_mask_ratio,
        "batch_size": plan.batch_size,
        "epochs": plan.epochs,
        "steps": plan.steps,
        "learning_rate": plan.learning_rate,
        "departures": settled["departures"],
        "recipe": settled["recipe"],
        "statistics": {"mean": plan.mean, "std": plan.std},
        "device": device,
        "precision": plan.precision,
        "processes": processes,
        "versions": {
            "fcmae": fcmae.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "options": {name: value for name, value in options.items() if name not in OF_THIS_START},
        "plan": settled,
    }


def _encoder_parameters(plan: Plan) -> int:
    with torch.device("meta"):
        encoder = Encoder(plan.model, in_channels=plan.in_channels, stem_stride=plan.stem_stride)
    return sum(parameter.numel() for parameter in encoder.parameters())


def _command() -> str | None:
    """The command line, as it can be typed again; None when called from Python."""
    program = Path(sys.argv[0])
    if program.parts[-2:] == ("fcmae", "__main__.py"):  # as under torchrun
        return shlex.join(["python", "-m", "fcmae", *sys.argv[1:]])
    return shlex.join(["fcmae", *sys.argv[1:]]) if program.name == "fcmae" else None
