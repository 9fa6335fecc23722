"""What this machine is, and what it can do at best."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import torch

import fcmae
from fcmae.benchmarks.measuring import matrix_products, memory_traffic
from fcmae.report.record import describe_run, processor
from fcmae.storage.versions import version
from fcmae.training.devices import Runtime
from gpu.isolation import Row

LIBRARIES = ("torch", "triton", "torchvision", "timm", "numba", "jax", "numpy", "simplejpeg")


def describe(device: torch.device) -> Iterator[Row]:
    """One row: the machine, the versions of what is installed, the commit, the date.

    Raises:
        ValueError: if the device is CUDA and there is none.
    """
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"no CUDA device: torch {torch.__version__} sees none on this machine")
    run = describe_run(device)
    versions = dict(run["versions"])  # type: ignore[call-overload]
    versions |= {name: found for name in LIBRARIES if (found := version(name))}
    if device.type == "cuda":
        versions |= {"CUDA": torch.version.cuda, "driver": _driver()}
    host = {"processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    command = str(run["command"]).replace("__main__.py", "python -m gpu", 1)
    run |= {"command": command}
    yield {**run, "versions": versions, "host": host, "commit": _commit()}


def measure_rates(device: torch.device, *, precision: str, repeats: int = 7) -> Iterator[Row]:
    """Copies of a large block, and products of large matrices: what all else is held against."""
    runtime = Runtime(device, precision)
    products, traffic = matrix_products(runtime), memory_traffic(runtime)
    for _ in range(repeats):
        products.take_turn()
        traffic.take_turn()
    yield {
        "operations_per_second": products.fastest().per_second,
        "product": products.fastest().what,
        "bytes_per_second": traffic.fastest().per_second,
    }


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return _said(command)


def _commit() -> str:
    """The commit; with changes, or outside a repository, also what the sources come to."""
    folders = [Path(fcmae.__file__).parent, Path(__file__).parent]
    git = ["git", "-C", str(folders[0]), "describe", "--always", "--abbrev=12", "--dirty=+"]
    commit = _said(git) or "none+"
    if not commit.endswith("+"):
        return commit
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{commit}, sources {digest.hexdigest()[:12]}"


def _said(command: list[str]) -> str | None:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else None
