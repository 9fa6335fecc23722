"""Peak memory of one call, above what was held before it."""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import torch

M_MMAP_THRESHOLD = -3  # malloc.h
RETURNED_AT_ONCE = 128 << 10  # bytes: glibc's own threshold, which it raises as a process runs
USUAL_THRESHOLD = 32 << 20  # bytes: where glibc's own raising of it ends


def peak_memory(call: Callable[[], None], device: torch.device) -> int | None:
    """Most bytes held at one time during `call`, less those held before it.

    On CUDA the allocator keeps count. On Linux the system counts the pages of the process, so
    freed blocks must go back to it at once, or the count shows what malloc keeps for later and
    differs by 10 % from call to call; for that the C library is told to map each block of
    128 KiB or more by itself. This makes `call` slower: time it apart, and before.

    Returns:
        None where neither can be had.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    library = _glibc() if device.type == "cpu" else None
    if library is None:
        return None
    library.mallopt(M_MMAP_THRESHOLD, RETURNED_AT_ONCE)
    try:
        gc.collect()
        library.malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        before = _status("VmRSS")
        call()
        return _status("VmHWM") - before
    finally:
        library.mallopt(M_MMAP_THRESHOLD, USUAL_THRESHOLD)


def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is glibc on a Linux that lets a process reset its peak."""
    if sys.platform != "linux":
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # another C library, or a sandbox without /proc
        return None
    return library


def _status(field: str) -> int:
    """Bytes, from a line such as `VmRSS:   1234 kB`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
