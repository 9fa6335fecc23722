"""What every training task does before it trains: options to facts, and the run folder's lock."""

import datetime
import math
import os
import platform
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import fcmae
from fcmae import checkpoint
from fcmae.devices import Place, num_processes, num_readers, settle, take_place
from fcmae.errors import unknown
from fcmae.images import IMAGENET_MEAN, IMAGENET_STD, ImageSet, channel_statistics
from fcmae.images.views import DECODINGS, EXACT, FAST
from fcmae.tasks import run_folder
from fcmae.tasks.estimate import IMAGES, WHOLE, in_words, measure
from fcmae.tasks.group_table import show_groups
from fcmae.tasks.interrupt import Interrupt
from fcmae.tasks.screen import say, show_details
from fcmae.tasks.task import Pace, Task
from fcmae.tasks.training import Training

SCRATCH = "scratch"  # what a run without first weights begins from
# Options that a resumed run does not take from the run: they are about this start of it alone.
OF_THIS_START = {"out", "dry_run", "resume", "overwrite"}


def is_first() -> bool:
    """Whether this process writes the run's files; also before the processes have met."""
    return int(os.environ.get("RANK", "0")) == 0


def open_run(options: dict[str, Any], task: str) -> tuple[Path, dict[str, Any] | None]:
    """The run folder, once it fits what is wanted, and the configuration that is resumed."""
    out = Path(options["out"]).expanduser().absolute()
    if is_first():
        run_folder.check(out, resume=options["resume"], overwrite=options["overwrite"])
    stored = run_folder.read_config(out) if options["resume"] else None
    if stored is not None and stored.get("task") != task:
        raise ValueError(
            f"out {out} is a run of {stored.get('task')}, not of {task}: go on with it by "
            f"fcmae {stored.get('task')} --resume --out {out}"
        )
    return out, stored


def rehearse(task: Task, peak: float, pace: Pace, layers: Mapping[str, int] | None = None) -> None:
    """Show the optimiser's groups, and what the run will cost: the last part of `--dry-run`."""
    if not is_first():
        return
    model, device = task.trained, next(task.trained.parameters()).device
    settle(device)  # as a run does: its steps are faster for it
    show_groups(task.groups, peak, layers)

    def loss(number: int) -> Tensor:
        images, other = task.example(number)
        return task.loss(model, images, other)

    micro, processes = pace.micro_batch_size, num_processes()
    cost = measure(model, loss, device, min(WHOLE, micro) if pace.whole_batches else IMAGES)
    show_details(in_words(cost, task.schedule, micro_batch_size=micro, processes=processes))


def train(
    out: Path,
    make_task: Callable[[Place], Task],
    pace: Pace,
    options: dict[str, Any],
    config: dict[str, Any] | None,
    *,
    device: torch.device,
    precision: str,
) -> None:
    """Take device and folder, and train.

    Args:
        out: the run folder.
        make_task: builds what is trained, on its place.
        pace: how the work is cut up.
        options: "resume" and "overwrite" count.
        config: what `config.json` says of a new run; None where a run is resumed.
        device: where to compute.
        precision: "fp32" or "bf16".
    """
    with take_place(device, precision) as place, Interrupt() as interrupt:
        training = Training(out, make_task(place), place, pace, interrupt, resumed=config is None)
        if not place.first:
            training.run()
            return
        resume, overwrite = options["resume"], options["overwrite"]
        with run_folder.RunFolder(out, resume=resume, overwrite=overwrite) as folder:
            if config is not None:
                folder.write_config(config)
            training.run()


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
        raise ValueError("data is missing: give --data, a folder of images, or sample")
    return options


def name_of_init(options: dict[str, Any]) -> str:
    """What a run's first weights are called in its plan."""
    if options["init"] is None:
        return SCRATCH
    return ", ".join(str(options[name]) for name in ("init", "key") if options[name] is not None)


def begins(out: Path, stored: dict[str, Any] | None) -> bool:
    """Whether this start begins with first weights: also one that resumes before a checkpoint."""
    return stored is None or not checkpoint.exists(out / "checkpoints")


def refuse_inside(out: Path, data: str) -> None:
    """Refuse a run folder in the folder of images, by whatever links."""
    if data != "sample" and out.resolve().is_relative_to(Path(data).resolve()):
        raise ValueError(
            f"out {out} lies inside data {data}: the run's own pictures would be taken for "
            "images; choose a folder outside"
        )


def make_pace(
    options: dict[str, Any],
    batch_size: int,
    device: torch.device,
    *,
    whole_batches: bool = False,
) -> Pace:
    """How the work is cut up, which decides no more than how sums are rounded.

    Where a loss compares the images of a batch, `whole_batches`, these cannot be cut up.
    """
    processes = num_processes()
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
    if options["compile"]:
        check_compiler(device)
    local = batch_size // processes
    if whole_batches and micro is not None and micro < local:
        raise ValueError(
            f"micro_batch_size {micro}: the loss compares all {local} images of a step in a process"
            ", so that they are computed at once: leave it out; --checkpoint-blocks saves memory"
        )
    return Pace(
        local_batch_size=local,
        micro_batch_size=local if whole_batches else min(micro or 64, local),
        whole_batches=whole_batches,
        checkpoint_blocks=options["checkpoint_blocks"],
        compile_blocks=options["compile"],
        workers=num_readers(device) if workers is None else workers,
        seconds_between_checkpoints=60 * minutes,
    )


def check_statistics(response: str, options: dict[str, Any], stored: dict[str, Any] | None) -> None:
    """Refuse what would change what BatchNorm computes, and not only how sums are rounded.

    Args:
        response: what stands in GRN's place.
        options: of this start.
        stored: `config.json` of the run that is resumed.
    """
    if response != "batch":
        return
    if options["checkpoint_blocks"]:
        raise ValueError(
            "checkpoint_blocks: response batch would move its running statistics a second time in "
            "blocks that are computed again: leave it out"
        )
    together = {
        "processes": num_processes(),
        "micro_batch_size": options["micro_batch_size"],
    }
    before = stored and {**stored["options"], "processes": stored["processes"]}
    for name, now in together.items():
        if before and before.get(name) != now:
            raise ValueError(
                f"{name} {now}: the run has {before.get(name)}, and response batch normalises over "
                "the images that are computed together: go on with what it has"
            )


def check_compiler(device: torch.device) -> None:
    """Refuse `--compile` where nothing can be compiled, before anything is done.

    It takes some seconds, up to a minute on a machine that never compiled.

    Raises:
        ValueError: with what PyTorch says is missing.
    """
    if is_first():
        say("compiling, which may take minutes until the first step is done")
    try:
        torch.compile(torch.nn.functional.gelu)(torch.zeros(16, device=device))
    except RuntimeError as error:  # no C++ compiler, no Triton, too old a GPU
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"compile: this machine cannot compile for {device.type} ({reason}): install what is "
            "missing, such as g++, or leave --compile out"
        ) from error


def warn_of_rounding(
    stored: dict[str, Any],
    options: dict[str, Any],
    device: torch.device,
) -> None:
    """Say so when a run is resumed in a way in which sums are taken in another order."""
    changes = [
        (name, before, now)
        for name, before, now in (
            ("device", stored["device"].partition(":")[0], device.type),
            ("processes", stored["processes"], num_processes()),
            (
                "micro_batch_size",
                stored["options"].get("micro_batch_size"),
                options["micro_batch_size"],
            ),
            ("compile", stored["options"].get("compile", False), options["compile"]),
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


DECODING_IN_WORDS = {
    FAST: "fast: JPEGs much larger than their crops are shrunk as they are decoded",
    EXACT: "exact",
}


def parse_decoding(decoding: str) -> str:
    """Refuse what is neither fast nor exact."""
    if decoding not in DECODINGS:
        raise unknown("decoding", decoding, DECODINGS)
    return decoding


def parse_image_size(image_size: int | str) -> tuple[int, int]:
    """224 -> (224, 224); "160x96" -> height 160, width 96."""
    numbers = str(image_size).lower().split("x")
    if len(numbers) > 2 or not all(number.strip().isdecimal() for number in numbers):
        raise ValueError(
            f"image size {image_size!r} is not a number or HEIGHTxWIDTH, like 224 or 160x96"
        )
    height, width = (int(number) for number in (numbers * 2)[:2])
    return height, width


def description(
    options: dict[str, Any], plan: dict[str, Any], device: torch.device
) -> dict[str, Any]:
    """What the `config.json` of any task says last: how it was started, and where."""
    return {
        "device": str(device),
        "processes": num_processes(),
        "versions": {
            "fcmae": fcmae.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "options": {name: value for name, value in options.items() if name not in OF_THIS_START},
        "plan": plan,
    }


def heading(task: str) -> dict[str, Any]:
    """What the `config.json` of any task says first."""
    return {
        "command": _command(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "task": task,
    }


def _command() -> str | None:
    """The command line, as it can be typed again; None when called from Python."""
    program = Path(sys.argv[0])
    if program.parts[-2:] == ("fcmae", "__main__.py"):  # as under torchrun
        return shlex.join(["python", "-m", "fcmae", *sys.argv[1:]])
    return shlex.join(["fcmae", *sys.argv[1:]]) if program.name == "fcmae" else None
