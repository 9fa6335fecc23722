"""Where a run computes: device, precision and the processes that share the work."""

import contextlib
import ctypes
import os
from dataclasses import dataclass

import torch

from fcmae.errors import unknown
from fcmae.parallel.processes import join, leave, local_rank, num_processes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


@dataclass(frozen=True, slots=True)
class Runtime:
    """One process's device and its part in the run."""

    device: torch.device
    precision: str  # "fp32" or "bf16"
    rank: int = 0
    processes: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The forward pass in this precision; parameters and statistics stay in float32."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def synchronise(self) -> None:
        """Wait for the device, to read a clock."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak_memory(self) -> int | None:
        """Most bytes held on the device so far; None where it does not say."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, *_: object) -> None:
        leave()


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the processor; anything else must be there to be used."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", local_rank())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not number.isdecimal()):
        raise unknown("device", name, ("auto", "cpu", "cuda", "mps"))
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' is not available here: use --device auto or cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' is not available here: use --device auto or cpu")
    if name == "cuda":
        return torch.device("cuda", local_rank())
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """`auto` is bf16 where the hardware multiplies it, fp32 elsewhere."""
    if name == "auto":
        has = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if has else "fp32"
    if name not in ("fp32", "bf16"):
        raise unknown("precision", name, ("auto", "fp32", "bf16"))
    return name


def num_readers(device: torch.device) -> int:
    """Processes that read images for a device: one beside a CPU that computes, else the cores."""
    return 1 if device.type == "cpu" else min(8, max((os.cpu_count() or 1) // num_processes(), 1))


def keep_freed_memory(device: torch.device) -> None:
    """Let the C library keep freed memory for the next step, rather than return it each time.

    On a processor each step asks for the same tens of megabytes. Pages that were returned to the
    system cost a page fault each when they are needed again: a tenth to a sixth of a
    step. Without glibc, nothing changes.
    """
    if device.type != "cpu":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # bytes: the most that it takes


def start_runtime(device: torch.device, precision: str) -> Runtime:
    """Prepare the chosen device, and join the other processes under torchrun."""
    keep_freed_memory(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        if precision == "fp32":  # exact resume: the same bits every time; bf16 prefers speed
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
            # Else fresh memory is filled with NaN each time, a pass that nothing here needs.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return Runtime(device, precision, *join(device))
