"""The run folder: one writer, nothing lost, and a resumed run that is the run it resumes."""

import json
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fcmae.checkpoint import write_text

CONFIG, LOCK = "config.json", ".lock"
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
        path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"out {path}: another process is writing this run; wait for it, stop it, or choose "
                "another folder"
            ) from None
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
    entries = [entry for entry in path.iterdir() if entry.name != LOCK] if path.exists() else []
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
    given: dict[str, Any], defaults: dict[str, Any], stored: dict[str, Any]
) -> dict[str, Any]:
    """Options of a resumed run: the stored ones, unless one is given that says otherwise.

    Raises:
        ValueError: naming each option that was given and differs.
    """
    given = json.loads(json.dumps(given))  # as it would be after storing: lists for tuples
    defaults = json.loads(json.dumps({name: defaults[name] for name in given}))
    differing = [
        f"  {name}: the run has {stored[name]!r}, now {value!r}"
        for name, value in given.items()
        if name in stored and value not in (defaults[name], stored[name])
    ]
    if differing:
        raise ValueError(differ(differing))
    return {name: stored.get(name, value) for name, value in given.items()}


def compare(plan: dict[str, Any], stored: dict[str, Any]) -> None:
    """Refuse to resume under a plan that is no longer the stored one, naming each field."""
    plan = json.loads(json.dumps(plan))
    words = {"names": "the files in the data folder", "images": "the number of images"}
    differing = [
        f"  {words.get(name, name)}: the run has {stored.get(name)!r}, now {value!r}"
        for name, value in plan.items()
        if stored.get(name) != value
    ]
    if differing:
        raise ValueError(differ(differing))


def differ(lines: list[str]) -> str:
    """The message for settings that are not those of the run."""
    return (
        "cannot resume with settings that differ from the run's:\n" + "\n".join(lines) + "\n"
        "leave them out to resume, or start another run"
    )
