"""What the tests of `gpu` have its processes do, in place of work for a GPU."""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gpu.isolation import Row


def squares(device: torch.device, *, number: int) -> Iterator[Row]:
    yield {"square": number**2, "process": os.getpid()}


def two_rows(device: torch.device, *, then: str) -> Iterator[Row]:
    """A row, then what is asked for, then another row."""
    yield {"row": 1}
    fail(then)
    yield {"row": 2}


def fail(how: str) -> None:
    """End in one of the ways that work on a GPU ends in."""
    if how == "out of memory":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if how == "no library":
        import no_such_library  # noqa: F401
    if how == "compilation":
        from triton.compiler.errors import CompilationError

        raise CompilationError("x = 1 +\n", None, "cannot be compiled")
    if how == "resources":
        from triton.runtime.errors import OutOfResources

        raise OutOfResources(300_000, 232_448, "shared memory")
    if how == "assembler":
        from triton.runtime.errors import PTXASError

        raise PTXASError("ptxas exited with 255")
    if how == "exit":
        sys.exit(3)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)


def no_rows(device: torch.device, *, number: int) -> Iterator[Any]:
    yield number


def odd_values(device: torch.device, *, kind: str) -> Iterator[Row]:
    values = {"nan": (math.nan, {"a": -math.inf}), "tensor": torch.zeros(1), "": 1}
    yield {"value": values[kind]}


def endless(device: torch.device, *, number: int, told: str | None) -> Iterator[Row]:
    """Where `told` is a file: start a process that would go on for long, and never end."""
    yield {"row": 1}
    if told is not None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        Path(told).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(1000)
    yield {"row": 2}


def holding(device: torch.device, *, told: str) -> Iterator[Row]:
    """Within a library that lets no other thread of Python run."""
    Path(told).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(1000)
    yield {}


def steadily(device: torch.device, *, number: int, seconds: float) -> Iterator[Row]:
    """Rows of figure 1 as they would come, one at a time."""
    time.sleep(seconds)
    values: dict[str, Any] = {"images_per_second": 1000.0 / number, "memory": 10**9, "held": 10**8}
    yield {"model": "convnextv2_atto", "mode": "tiled", "precision": "bf16", **values}
