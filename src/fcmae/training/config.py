"""What the `config.json` of any run says beside what its task does."""

import datetime
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import torch

import fcmae
from fcmae.parallel.processes import num_processes

# Options that a resumed run does not take from the run: they are about this start of it alone.
OF_THIS_START = {"out", "dry_run", "resume", "overwrite"}


def heading(task: str) -> dict[str, Any]:
    """What the `config.json` of any task says first."""
    return {
        "command": _command(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "task": task,
    }


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


def _command() -> str | None:
    """The command line, as it can be typed again; None when called from Python."""
    program = Path(sys.argv[0])
    if program.parts[-2:] == ("fcmae", "__main__.py"):  # as under torchrun
        return shlex.join(["python", "-m", "fcmae", *sys.argv[1:]])
    return shlex.join(["fcmae", *sys.argv[1:]]) if program.name == "fcmae" else None
