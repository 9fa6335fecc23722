"""One case measured: memory first, then time in turns, with the device's own rate beside it.

On Linux a freed block must go back to the system at once, or the count of pages shows what malloc
keeps for later: up to half as much again, and different from call to call. A fresh process is
therefore started, in which the C library maps each block of 128 KiB or more by itself. Its peaks
repeat to 0.2 %. What libraries allocate when first used is there before a peak is measured: each
mode takes a step that does not count.

The fresh process is also the one that the system ends where memory does not suffice.
"""

import ctypes
import functools
import gc
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fcmae.benchmarks import arithmetic, measuring
from fcmae.benchmarks.pretraining.workload import MODES, Case, Workload
from fcmae.sizes import size_of
from fcmae.training.devices import M_MMAP_THRESHOLD

OURS = "tiled"
STATE = 16  # bytes a parameter: weights, gradients and AdamW's two moments, float32
Memory = dict[str, int]  # bytes of each mode
REPEATS = 3  # of a peak
MAPPED_APART = 128 << 10  # bytes: where glibc starts too, but then it raises its threshold
TOO_LITTLE = 3  # the fresh process's exit code where an allocation was refused
ANSWER = "from fcmae.benchmarks.pretraining import measurement as m; raise SystemExit(m.answer())"


@dataclass(frozen=True, slots=True)
class Settings:
    """How every case of a command is measured."""

    repeats: int  # rounds, each a step of every mode
    modes: tuple[str, ...] = MODES
    update: bool = True  # whether AdamW's step is timed too


def measure(case: Case, device: torch.device, settings: Settings) -> dict[str, Any]:
    """A row of the benchmark; where a case does not fit in memory, one with `error` alone.

    How far tiled and masked steps are apart stands in `difference`; `agrees` is False where that is
    more than rounding, and what was timed is then not right.
    """
    refused: dict[str, Any] = {**asdict(case), "error": measuring.TOO_LARGE}
    if STATE * size_of(case.model).parameters >= _free(device):
        return refused  # the weights and their optimiser alone are more than is free
    try:
        memory = measure_memory(case, device, settings.modes, update=settings.update)
        return _row(case, device, settings, memory)
    except (RuntimeError, MemoryError) as error:
        if not measuring.is_lack_of_memory(error):
            raise
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return refused


def step_arithmetic(case: Case, mode: str) -> int:
    """Multiply-adds that a step of all images needs; masked does more than it needs."""
    if mode == "timm":
        image = arithmetic.classification(case.model, case.image_size)
    else:
        image = arithmetic.pretraining(
            case.model, case.image_size, case.mask_ratio, dense=mode == "dense"
        )
    return case.batch_size * image.step


def _row(
    case: Case, device: torch.device, settings: Settings, memory: Memory | None
) -> dict[str, Any]:
    workload = Workload(case, device)
    agreement = workload.agreement()
    ways = {
        mode: functools.partial(workload.whole_step, mode=mode, update=settings.update)
        for mode in settings.modes
    }
    probe = measuring.matrix_products(workload.runtime)
    repeats, draw = settings.repeats, workload.fresh_mask
    seconds = measuring.take_turns(ways, workload.runtime, repeats, draw, rates=[probe])
    products = probe.fastest()
    return {
        **asdict(case),
        "images_per_second": measuring.images_per_second(seconds, case.batch_size),
        **measuring.speedups(seconds, [(OURS, mode) for mode in settings.modes if mode != OURS]),
        **agreement,
        "arithmetic_limit": arithmetic.limit(case.model, case.image_size, case.mask_ratio),
        "of_matrix_products": {
            mode: products.share(2 * step_arithmetic(case, mode), values)
            for mode, values in seconds.items()
        },
        "matrix_products": {"operations_per_second": products.per_second, **asdict(products)},
        "seconds": seconds,
        "held": workload.held(update=settings.update),
        "memory": memory,
        "memory_ratio": memory and memory[OURS] / memory["masked"],
    }


def _free(device: torch.device) -> float:
    """Bytes free on the device; infinite where it does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    free = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(free[0]) if free and device.type == "cpu" else float("inf")


def measure_memory(
    case: Case, device: torch.device, modes: Sequence[str], *, update: bool = True
) -> Memory | None:
    """Median peak bytes of each mode above what is held; None where there is no way to know.

    Raises:
        MemoryError: if there is not enough for a step.
    """
    if device.type == "cuda":
        return _memory(case, device, modes, update=update)
    if device.type != "cpu" or not measuring.memory_can_be_counted():
        return None
    order = {
        "threads": torch.get_num_threads(),
        "case": asdict(case),
        "modes": list(modes),
        "update": update,
    }
    found = subprocess.run(
        [sys.executable, "-c", ANSWER],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if found.returncode in (TOO_LITTLE, -signal.SIGKILL):
        raise MemoryError
    found.check_returncode()
    memory: Memory = json.loads(found.stdout)
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
        peaks.append(measuring.peak_memory(step, workload.runtime.device))
        workload.forget_gradients()
    return int(statistics.median(peaks[1:]))


def answer() -> int:
    """The fresh process: a case from standard input, its memory to standard output."""
    ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, MAPPED_APART)
    Path("/proc/self/oom_score_adj").write_text("1000")  # this one, and no other, is to be ended
    order = json.loads(sys.stdin.read())
    torch.set_num_threads(order["threads"])
    case = Case(**order["case"])
    try:
        memory = _memory(case, torch.device("cpu"), order["modes"], update=order["update"])
    except (RuntimeError, MemoryError) as error:
        if measuring.is_lack_of_memory(error):
            return TOO_LITTLE
        raise
    sys.stdout.write(json.dumps(memory))
    return 0
