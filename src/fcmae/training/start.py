"""What every task checks before its plan: run folder, options, and the run to resume."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from fcmae.commands.shared import Training
from fcmae.console.screen import say
from fcmae.images import ImageSet
from fcmae.images.statistics import Statistics, choose_statistics
from fcmae.parallel.processes import is_first, num_processes
from fcmae.storage.digest import digest_of_names
from fcmae.training import checkpoint, run_folder
from fcmae.training.devices import choose_precision
from fcmae.training.plan import Plan

Chosen = TypeVar("Chosen", bound=Training)

SCRATCH = "scratch"  # what a run without first weights begins from


@dataclass(frozen=True, slots=True)
class Resumed(Generic[Chosen]):
    """The run to resume, as its `config.json` describes it.

    Attributes:
        options: that it was started with; those unknown to an older run are at their defaults.
        plan: as JSON.
        device: the kind of its device, such as "cuda".
        processes: number of those that shared each batch.
        probe: the images of its interim probe, if it has one.
        has_checkpoint: whether one was written.
    """

    options: Chosen
    plan: Mapping[str, Any]
    device: str
    processes: int
    probe: Mapping[str, Any] | None
    has_checkpoint: bool


class Facts(NamedTuple):
    """What a plan stores of the data and of this machine."""

    data: str
    init: str  # what the weights are at first: a path, or "scratch"
    images: int
    names: str  # digest of the images' names, in order
    mean: tuple[float, ...]
    std: tuple[float, ...]
    precision: str


@dataclass(frozen=True, slots=True)
class OpenedRun(Generic[Chosen]):
    """A run that is ready to start or to resume.

    Attributes:
        task: the name of its command.
        out: its folder.
        options: with absolute paths; a resumed run keeps those that are not given again.
        resumed: the run to resume; None for a new run.
    """

    task: str
    out: Path
    options: Chosen
    resumed: Resumed[Chosen] | None

    @property
    def data(self) -> str:
        """Where the images are."""
        return str(self.options.data)

    @property
    def takes_first_weights(self) -> bool:
        """Whether to load those of `init`: in a new run, or one resumed before any checkpoint."""
        begins = self.resumed is None or not self.resumed.has_checkpoint
        return self.options.init is not None and begins

    def facts(
        self,
        parts: Sequence[ImageSet[object]],
        channels: int,
        device: torch.device,
        of_weights: Statistics | None = None,
    ) -> Facts:
        """What the plan stores of the images and of the device.

        What was measured or found out when a run began is kept when it is resumed: measuring again
        could differ in the last bit.

        Args:
            parts: what is trained on, and what else the run depends on.
            channels: of the images.
            device: where to compute.
            of_weights: mean and deviation stored with the first weights, if any.
        """
        options, resumed = self.options, self.resumed
        if resumed is not None and "statistics" not in options.given:
            mean, std = tuple(resumed.plan["mean"]), tuple(resumed.plan["std"])
        elif of_weights is not None and options.statistics == "auto":
            mean, std = of_weights
        else:
            mean, std = choose_statistics(options.statistics, channels, parts[0])
        if resumed is None or "precision" in options.given:
            precision = choose_precision(options.precision, device)
        else:
            precision = resumed.plan["precision"]
        init = SCRATCH
        if options.init is not None:
            init = ", ".join(str(part) for part in (options.init, options.key) if part is not None)
        return Facts(
            data=self.data,
            init=init,
            images=len(parts[0]),
            names=digest_of_names(part.name(i) for part in parts for i in range(len(part))),
            mean=mean,
            std=std,
            precision=precision,
        )


def open_run(options: Chosen, task: str) -> OpenedRun[Chosen]:
    """Check the run folder and the options, and read the run to resume.

    Raises:
        ValueError: for what cannot be, naming the option and the remedy.
    """
    out = Path(options.out).expanduser().absolute()
    if is_first():
        run_folder.check(out, resume=options.resume, overwrite=options.overwrite)
    paths = {"data": options.data, "init": options.init}
    if options.data is not None:
        paths["data"] = whole_path(options.data)
    if options.init is not None:
        paths["init"] = str(Path(options.init).expanduser().absolute())
    options = options.updated(paths)
    resumed = None
    if options.resume:
        config = run_folder.read_config(out)
        if config.get("task") != task:
            raise ValueError(
                f"out {out} is a run of {config.get('task')}, not of {task}: go on with it by "
                f"fcmae {config.get('task')} --resume --out {out}"
            )
        resumed = Resumed(
            options=type(options)(out=out).completed(config["options"]),
            plan=config["plan"],
            device=config["device"].partition(":")[0],
            processes=config["processes"],
            probe=config.get("probe"),
            has_checkpoint=checkpoint.exists(out / "checkpoints"),
        )
        options = options.completed(config["options"])
    if options.data is None:
        raise ValueError("data is missing: give --data, a folder of images, or sample")
    refuse_inside(out, str(options.data))
    return OpenedRun(task, out, options, resumed)


def whole_path(data: str | Path) -> str:
    """The absolute path of the images; "sample" is left as it is."""
    return str(data) if data == "sample" else str(Path(data).expanduser().absolute())


def refuse_inside(out: Path, data: str) -> None:
    """Refuse a run folder in the folder of images, by whatever links."""
    if data != "sample" and out.resolve().is_relative_to(Path(data).resolve()):
        raise ValueError(
            f"out {out} lies inside data {data}: the run's own pictures would be taken for "
            "images; choose a folder outside"
        )


def check_resumed(resumed: Resumed[Chosen] | None, plan: Plan, options: Chosen) -> None:
    """Refuse to go on in a way that would give another run.

    Args:
        resumed: the run to resume; None for a new run.
        plan: of this start.
        options: likewise.
    """
    if plan.recipe.response == "batch":
        _check_batch_statistics(resumed, options)
    if resumed is not None:
        compare_plans(plan.as_dict(), resumed.plan)


def compare_plans(plan: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Refuse to resume under a plan that is no longer the stored one, naming each field.

    The data may have moved, as long as the files in them have the same names. Departures follow
    from the rest.
    """
    now, before = (_flat(json.loads(json.dumps(fields))) for fields in (plan, stored))
    differing = [name for name in now if now[name] != before.get(name)]
    if differing:
        lines = "\n".join(_difference(name, before.get(name), now[name]) for name in differing)
        raise ValueError(
            f"cannot resume with settings that differ from the run's:\n{lines}\n"
            "leave them out to resume, or start another run"
        )


def _flat(plan: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in plan.items() if name not in {"data", "departures"}}
    recipe: dict[str, Any] = fields.pop("recipe", {})
    return fields | recipe


def _difference(name: str, before: object, now: object) -> str:
    if name == "names":
        return "  the files in the data: some were added, removed, renamed or sorted otherwise"
    name = "the number of images" if name == "images" else name
    return f"  {name}: the run has {before!r}, now {now!r}"


def _check_batch_statistics(resumed: Resumed[Chosen] | None, options: Chosen) -> None:
    """Refuse what would change what BatchNorm computes, and not only how sums are rounded."""
    if options.checkpoint_blocks:
        raise ValueError(
            "checkpoint_blocks: response batch would move its running statistics a second time in "
            "blocks that are computed again: leave it out"
        )
    if resumed is None:
        return
    for name, before, now in (
        ("processes", resumed.processes, num_processes()),
        ("micro_batch_size", resumed.options.micro_batch_size, options.micro_batch_size),
    ):
        if before != now:
            raise ValueError(
                f"{name} {now}: the run has {before}, and response batch normalises over "
                "the images that are computed together: go on with what it has"
            )


def warn_of_rounding(opened: OpenedRun[Chosen], device: torch.device) -> None:
    """Say that a resumed run is equal only up to rounding, where it sums in another order."""
    options, resumed = opened.options, opened.resumed
    if resumed is None:
        return
    before = resumed.options
    changes = [
        f"{name} {old} -> {new}"
        for name, old, new in (
            ("device", resumed.device, device.type),
            ("processes", resumed.processes, num_processes()),
            ("micro_batch_size", before.micro_batch_size, options.micro_batch_size),
            ("compile", before.compile, options.compile),
        )
        if old != new
    ]
    if changes:
        say(
            f"resumed with {'; '.join(changes)}: equal to the run without it up to rounding, "
            "not to the bit"
        )
