"""What every training does before it trains: its run folder, its data, what it will cost."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fcmae.console.screen import show_details
from fcmae.parallel.processes import is_first, num_processes
from fcmae.training import checkpoint, run_folder
from fcmae.training.batching import Pace
from fcmae.training.devices import Place, settle, take_place
from fcmae.training.dry_run import IMAGES, WHOLE, in_words, measure
from fcmae.training.group_table import show_groups
from fcmae.training.signals import Interrupt
from fcmae.training.task import Task
from fcmae.training.trainer import Training

SCRATCH = "scratch"  # what a run without first weights begins from


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
