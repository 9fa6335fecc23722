"""The run folder: one writer, nothing lost, and what its `config.json` says."""

import datetime
import errno
import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import safe_open

from fcmae.commands.shared import Training
from fcmae.parallel.processes import num_processes
from fcmae.storage.atomic import write_text
from fcmae.storage.versions import versions
from fcmae.training.checkpoint import LAST
from fcmae.training.plan import Plan
from fcmae.weights import FILE

CONFIG, LOCK = "config.json", ".lock"
OURS = {LOCK, CONFIG + ".unfinished"}  # what a start that was killed at once may leave
OF_THIS_START = {"out", "dry_run", "resume", "overwrite"}  # options that a run does not keep
WRITTEN = {"options", "plan"}  # what resuming reads; other programs have a config.json too


class RunFolder:
    """`RUN/`, held by this process until it is closed.

    Args:
        path: the folder; made if it is not there.
        resume: go on with the run that is there.
        overwrite: delete the run that is there.

    Raises:
        ValueError: if another process holds it, or what is there does not fit `resume` and
            `overwrite`.
    """

    def __init__(self, path: Path, *, resume: bool, overwrite: bool) -> None:
        self.path = path
        check(path, resume=resume, overwrite=overwrite)
        self._lock = FileLock(path / LOCK)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"out {path}: another process is writing this run; wait for it, stop it, or choose "
                "another folder"
            ) from None
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise ValueError(
                f"out {path} cannot be written ({error.strerror}): choose another folder"
            ) from error
        if overwrite:
            # The configuration goes last: as long as it is there, this can be started again.
            for entry in sorted(path.iterdir(), key=lambda entry: entry.name == CONFIG):
                if entry.name != LOCK:
                    linked = entry.is_symlink() or not entry.is_dir()
                    entry.unlink() if linked else shutil.rmtree(entry)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def write_config(self, config: dict[str, Any]) -> None:
        """Write `config.json`."""
        write_text(self.path / CONFIG, json.dumps(config, indent=2) + "\n")


def check(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that `resume` and `overwrite` do not fit; touches nothing."""
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other: give one")
    if path.exists() and not path.is_dir():
        raise ValueError(f"out {path} is a file: give a folder")
    is_run = (path / CONFIG).exists() and read_config(path).keys() >= WRITTEN
    entries = [e for e in path.iterdir() if e.name not in OURS] if path.exists() else []
    if resume and not is_run:
        raise ValueError(f"out {path} holds no run to resume: leave --resume out to start one")
    if entries and not is_run:
        raise ValueError(
            f"out {path} holds files and is not a run of ours: choose an empty or a new folder"
        )
    if is_run and not (resume or overwrite):
        raise ValueError(
            f"out {path} already holds a run: --resume goes on with it, --overwrite deletes it"
        )


def read_config(path: Path) -> dict[str, Any]:
    """The `config.json` of a run."""
    try:
        config = json.loads((path / CONFIG).read_text())
    except ValueError as error:  # also what is no text at all
        raise ValueError(f"{path / CONFIG} is not JSON ({error})") from error
    return config if isinstance(config, dict) else {}


def describe(
    task: str,
    options: Training,
    plan: Plan,
    device: torch.device,
    *,
    parameters: int,
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """What the `config.json` of a new run says.

    Args:
        task: the name of its command.
        options: of this start.
        plan: what it computes.
        device: where.
        parameters: number of them in the resulting model.
        own: the task's entries; they replace others of the same name.
    """
    settled = plan.as_dict()
    kept = {name: v for name, v in options.as_dict().items() if name not in OF_THIS_START}
    return {
        "command": _command(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "task": task,
        "model": {
            "name": plan.model,
            "in_channels": plan.in_channels,
            "stem_stride": plan.stem_stride,
            "parameters": parameters,
        },
        "init": plan.init,
        "data": {"path": plan.data, "images": plan.images},
        "image_size": plan.image_size,
        "batch_size": plan.batch_size,
        "epochs": plan.epochs,
        "steps": plan.steps,
        "learning_rate": plan.learning_rate,
        "departures": settled["departures"],
        "recipe": settled["recipe"],
        "statistics": {"mean": plan.mean, "std": plan.std},
        "precision": plan.precision,
        "decoding": plan.decoding,
        **own,
        "device": str(device),
        "processes": num_processes(),
        "versions": versions("fcmae", "torch", "python"),
        "options": kept,
        "plan": settled,
    }


def _command() -> str | None:
    """The command line, as it can be typed again; None when called from Python."""
    program = Path(sys.argv[0])
    if program.parts[-2:] == ("fcmae", "__main__.py"):  # as under torchrun
        return shlex.join(["python", "-m", "fcmae", *sys.argv[1:]])
    return shlex.join(["fcmae", *sys.argv[1:]]) if program.name == "fcmae" else None


def is_finished(folder: Path) -> bool:
    """Whether a run is finished, at its last step or stopped early, and its weights are written."""
    state, weights = folder / "checkpoints" / LAST / "state.json", folder / FILE
    if not (state.exists() and weights.exists()):
        return False
    found = json.loads(state.read_text())
    with safe_open(weights, "pt") as opened:  # written after the state
        step = json.loads((opened.metadata() or {}).get("fcmae", "{}")).get("step")
    ended = found["stopped"] or found["step"] >= read_config(folder)["steps"]
    return bool(ended and step == found["step"])


def require_finished(path: str) -> None:
    """Refuse the folder of an unfinished run; files are taken as they are.

    Raises:
        ValueError: with how to finish it.
    """
    folder = Path(path)
    if not (folder / CONFIG).is_file() or is_finished(folder):
        return
    task = read_config(folder).get("task", "pretrain")
    as_it_is = f", or give {folder / FILE} to take it as it is" if (folder / FILE).exists() else ""
    raise ValueError(
        f"weights {path}: the run is unfinished: finish it with fcmae {task} --resume --out "
        f"{path}{as_it_is}"
    )
