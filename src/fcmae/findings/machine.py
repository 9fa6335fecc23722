"""What the figures were measured on."""

import importlib.metadata
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

import fcmae


def describe_machine(device: torch.device) -> str:
    """One line: the processor or the GPU, and the threads or the memory that it has."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if device.type == "mps":
        return f"{platform.machine()} GPU (mps)"
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'s' if threads > 1 else ''}"


def describe_run(device: torch.device) -> dict[str, object]:
    """Machine, versions, command and date, for the JSON file."""
    program, *arguments = sys.argv
    return {
        "machine": describe_machine(device),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "timm": version("timm"),
            "fcmae": fcmae.__version__,
            "system": f"{platform.system()} {platform.release()}",
        },
        "command": shlex.join([Path(program).name, *arguments]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def version(library: str) -> str | None:
    """Of what is installed; None of what is not."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Its name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
