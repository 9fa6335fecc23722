"""Peak memory of pre-training steps, above weights, optimiser and images.

On CUDA the allocator keeps count. On Linux the system counts the pages of a process, so a freed
block must go back to it at once, or the count shows what malloc keeps for later: up to half as much
again, and different from call to call. A fresh process is therefore started, in which the C library
maps each block of 128 KiB or more by itself. Its peaks repeat to 0.2 %.
"""

import ctypes
import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from fcmae.benchmarks.workload import MODES, Case, Workload

Memory = dict[str, int]  # bytes of each mode
REPEATS = 3
M_MMAP_THRESHOLD = -3  # malloc.h
MAPPED_APART = 128 << 10  # bytes: where glibc starts too, but then it raises its threshold


def measure_memory(cases: Sequence[Case], device: torch.device) -> list[Memory | None]:
    """Median peak bytes of each case's modes; None where there is no way to know."""
    if device.type == "cuda":
        return [_memory(case, device) for case in cases]
    if device.type != "cpu" or not _can_be_counted():
        return [None] * len(cases)
    order = {"threads": torch.get_num_threads(), "cases": [asdict(case) for case in cases]}
    answer = subprocess.run(
        [sys.executable, "-m", "fcmae.benchmarks.memory"],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    memories: list[Memory | None] = json.loads(answer.stdout)
    return memories


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


def _memory(case: Case, device: torch.device) -> Memory:
    workload = Workload(case, device)
    peaks: dict[str, list[int]] = {mode: [] for mode in MODES}
    for mode in MODES:
        for turn in range(REPEATS + 1):
            mask = workload.fresh_mask()
            peak = peak_memory(lambda mask=mask, mode=mode: workload.step(mask, mode), device)  # type: ignore[misc]
            workload.forget_gradients()
            if turn > 0:  # the first step also makes the optimiser's state, and compiles
                peaks[mode].append(peak)
    return {mode: int(statistics.median(values)) for mode, values in peaks.items()}


def _can_be_counted() -> bool:
    """Whether this is Linux with glibc, and a process may start its peak again."""
    try:
        ctypes.CDLL("libc.so.6")
        _reset_peak()
    except OSError:  # another system or C library, or a sandbox without /proc
        return False
    return True


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    """Bytes, from a line such as `VmRSS:   1234 kB`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def _answer() -> None:
    """The fresh process: cases from standard input, their memory to standard output."""
    ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, MAPPED_APART)
    order = json.loads(sys.stdin.read())
    torch.set_num_threads(order["threads"])
    memories = [_memory(Case(**case), torch.device("cpu")) for case in order["cases"]]
    sys.stdout.write(json.dumps(memories))


if __name__ == "__main__":
    _answer()
