"""Peak memory of pre-training steps, above weights, optimiser and images.

On Linux a freed block must go back to the system at once, or the count of pages shows what malloc
keeps for later: up to half as much again, and different from call to call. A fresh process is
therefore started, in which the C library maps each block of 128 KiB or more by itself. Its peaks
repeat to 0.2 %. What libraries allocate when first used is there before a peak is measured: each
mode takes a step that does not count.

The fresh process is also the one that the system ends where memory does not suffice.
"""

import ctypes
import functools
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from fcmae.benchmarks.memory import can_be_counted, is_lack_of_memory, peak_memory
from fcmae.benchmarks.pretraining.workload import Case, Workload
from fcmae.training.devices import M_MMAP_THRESHOLD

Memory = dict[str, int]  # bytes of each mode
REPEATS = 3
MAPPED_APART = 128 << 10  # bytes: where glibc starts too, but then it raises its threshold
TOO_LITTLE = 3  # the fresh process's exit code where an allocation was refused


class OutOfMemory(Exception):
    """A case needs more memory than there is."""


def measure_memory(
    case: Case, device: torch.device, modes: Sequence[str], *, update: bool = True
) -> Memory | None:
    """Median peak bytes of each mode; None where there is no way to know.

    Raises:
        OutOfMemory: if there is not enough for a step.
    """
    if device.type == "cuda":
        return _memory(case, device, modes, update=update)
    if device.type != "cpu" or not can_be_counted():
        return None
    order = {
        "threads": torch.get_num_threads(),
        "case": asdict(case),
        "modes": list(modes),
        "update": update,
    }
    answer = subprocess.run(
        [sys.executable, "-m", "fcmae.benchmarks.pretraining.step_memory"],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if answer.returncode in (TOO_LITTLE, -signal.SIGKILL):
        raise OutOfMemory
    answer.check_returncode()
    memory: Memory = json.loads(answer.stdout)
    return memory


def _memory(case: Case, device: torch.device, modes: Sequence[str], *, update: bool) -> Memory:
    workload = Workload(case, device)
    return {mode: peak_of(workload, mode, update=update) for mode in modes}


def peak_of(workload: Workload, mode: str, *, update: bool, repeats: int = REPEATS) -> int:
    """The median peak of a mode's step, in bytes above what is held before it.

    Args:
        workload: whose step.
        mode: of the step.
        update: whether AdamW's step is part of it.
        repeats: steps, after a first one that also makes the optimiser's state, and compiles.
    """
    peaks = []
    for _ in range(repeats + 1):
        step = functools.partial(workload.step, workload.fresh_mask(), mode, update=update)
        peaks.append(peak_memory(step, workload.place.device))
        workload.forget_gradients()
    return int(statistics.median(peaks[1:]))


def _answer() -> int:
    """The fresh process: a case from standard input, its memory to standard output."""
    ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, MAPPED_APART)
    Path("/proc/self/oom_score_adj").write_text("1000")  # this one, and no other, is to be ended
    order = json.loads(sys.stdin.read())
    torch.set_num_threads(order["threads"])
    case = Case(**order["case"])
    try:
        memory = _memory(case, torch.device("cpu"), order["modes"], update=order["update"])
    except (RuntimeError, MemoryError) as error:
        if is_lack_of_memory(error):
            return TOO_LITTLE
        raise
    sys.stdout.write(json.dumps(memory))
    return 0


if __name__ == "__main__":
    sys.exit(_answer())
