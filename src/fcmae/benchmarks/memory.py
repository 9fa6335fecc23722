"""The most memory held at a time, and knowing when there is too little.

On CUDA the allocator keeps count. On Linux the system counts the pages of a process, if the C
library is glibc and blocks go back at once when they are freed.
"""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

TOO_LARGE = "does not fit in memory"  # the error of a row


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an allocation was refused: CUDA's, numpy's, or torch's on the processor."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def can_be_counted() -> bool:
    """Whether this is Linux with glibc, and a process may start its peak again."""
    try:
        ctypes.CDLL("libc.so.6")
        _reset_peak()
    except OSError:  # another system or C library, or a sandbox without /proc
        return False
    return True


def peak_memory(call: Callable[[], None], device: torch.device) -> int:
    """Most bytes held at one time during `call`, less those held before it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    _reset_peak()
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    """Bytes, from a line such as `VmRSS:   1234 kB`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
