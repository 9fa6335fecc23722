"""The run folder: one writer, nothing lost, and a resumed run that is the run it resumes."""

import errno
import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import safe_open

from fcmae.storage.atomic import write_text
from fcmae.training.checkpoint import LAST
from fcmae.weights import FILE

CONFIG, LOCK = "config.json", ".lock"
OURS = {LOCK, CONFIG + ".unfinished"}  # what a start that was killed at once may leave
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


def merge(
    options: dict[str, Any], given: Collection[str], stored: dict[str, Any]
) -> dict[str, Any]:
    """Options of a resumed run: those that were given, and of the others the stored ones.

    Whether what was given is what the run has, shows when the plans are compared.
    """
    return {name: options[name] for name in options if name not in stored or name in given} | {
        name: value for name, value in stored.items() if name not in given
    }


def compare(plan: dict[str, Any], stored: dict[str, Any]) -> None:
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


def _flat(plan: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in plan.items() if name not in {"data", "departures"}}
    recipe: dict[str, Any] = fields.pop("recipe", {})
    return fields | recipe


def _difference(name: str, before: object, now: object) -> str:
    if name == "names":
        return "  the files in the data: some were added, removed, renamed or sorted otherwise"
    name = "the number of images" if name == "images" else name
    return f"  {name}: the run has {before!r}, now {now!r}"


def is_finished(folder: Path) -> bool:
    """Whether a run came to its end, the last step's or one of its own choice, weights and all."""
    state, weights = folder / "checkpoints" / LAST / "state.json", folder / FILE
    if not (state.exists() and weights.exists()):
        return False
    found = json.loads(state.read_text())
    with safe_open(weights, "pt") as opened:  # written after the state
        step = json.loads((opened.metadata() or {}).get("fcmae", "{}")).get("step")
    ended = found["stopped"] or found["step"] >= read_config(folder)["steps"]
    return bool(ended and step == found["step"])


def require_finished(path: str) -> None:
    """Refuse the folder of a run that has not come to its end; files are taken as they are.

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
