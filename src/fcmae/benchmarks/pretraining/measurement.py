"""One case measured: memory first, then time in turns, with the device's own rate beside it."""

import functools
import gc
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fcmae.benchmarks import arithmetic
from fcmae.benchmarks.memory import TOO_LARGE, is_lack_of_memory
from fcmae.benchmarks.pretraining.step_memory import Memory, OutOfMemory, measure_memory
from fcmae.benchmarks.pretraining.workload import MODES, Case, Workload
from fcmae.benchmarks.rates import Rate, matrix_products
from fcmae.benchmarks.timing import ratios, seconds_of
from fcmae.sizes import size_of

OURS = "tiled"
STATE = 16  # bytes a parameter: weights, gradients and AdamW's two moments, float32


@dataclass(frozen=True, slots=True)
class Settings:
    """How every case of a run is measured."""

    repeats: int  # rounds, each a step of every mode
    modes: tuple[str, ...] = MODES
    update: bool = True  # whether AdamW's step is timed too


def measure(case: Case, device: torch.device, settings: Settings) -> dict[str, Any]:
    """A row of the benchmark; where a case does not fit in memory, one with `error` alone.

    How far tiled and masked steps are apart stands in `difference`; `agrees` is False where that is
    more than rounding, and what was timed is then not right.
    """
    refused: dict[str, Any] = {**asdict(case), "error": TOO_LARGE}
    if not _may_fit(case, device):
        return refused
    try:
        memory = measure_memory(case, device, settings.modes, update=settings.update)
        return _row(case, _Rounds(case, device, settings), memory)
    except OutOfMemory:
        return refused
    except (RuntimeError, MemoryError) as error:
        if not is_lack_of_memory(error):
            raise
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return refused


def expected_work(case: Case) -> float:
    """What a case's time is about proportional to: multiply-adds of a dense step."""
    dense = arithmetic.pretraining(case.model, case.image_size, case.mask_ratio, dense=True)
    return float(case.batch_size * dense.step)


def step_arithmetic(case: Case, mode: str) -> int:
    """Multiply-adds that a step of all images needs; masked does more than it needs."""
    if mode == "timm":
        image = arithmetic.classification(case.model, case.image_size)
    else:
        image = arithmetic.pretraining(
            case.model, case.image_size, case.mask_ratio, dense=mode == "dense"
        )
    return case.batch_size * image.step


class _Rounds:
    """Seconds of each mode's step and of the matrix products, round by round."""

    def __init__(self, case: Case, device: torch.device, settings: Settings) -> None:
        workload = Workload(case, device)
        self.agreement = workload.agreement()
        self.held = workload.held(update=settings.update)
        self.seconds: dict[str, list[float]] = {mode: [] for mode in settings.modes}
        products = matrix_products(workload.place)
        for turn in range(settings.repeats + 1):
            mask = workload.fresh_mask()  # the same for the modes of a round
            for mode in settings.modes:
                step = functools.partial(_step, workload, mask, mode, update=settings.update)
                seconds = seconds_of(step, workload.place)
                if turn > 0:  # the first round warms up
                    self.seconds[mode].append(seconds)
            if turn > 0:
                products.take_turn()
        self.products: Rate = products.fastest()


def _step(workload: Workload, mask: Tensor, mode: str, *, update: bool) -> None:
    workload.step(mask, mode, update=update)
    workload.forget_gradients()


def _row(case: Case, rounds: _Rounds, memory: Memory | None) -> dict[str, Any]:
    seconds, products = rounds.seconds, rounds.products
    median = {mode: statistics.median(values) for mode, values in seconds.items()}
    speedup = {
        f"{OURS} / {mode}": ratios(values, seconds[OURS])
        for mode, values in seconds.items()
        if mode != OURS
    }
    return {
        **asdict(case),
        "images_per_second": {mode: case.batch_size / value for mode, value in median.items()},
        "speedup": {name: statistics.median(values) for name, values in speedup.items()},
        "speedup_range": {name: [values[0], values[-1]] for name, values in speedup.items()},
        **rounds.agreement,
        "arithmetic_limit": arithmetic.limit(case.model, case.image_size, case.mask_ratio),
        "of_matrix_products": {
            mode: statistics.median(products.shares(2 * step_arithmetic(case, mode), values))
            for mode, values in seconds.items()
        },
        "matrix_products": {"operations_per_second": products.per_second, **asdict(products)},
        "seconds": seconds,
        "held": rounds.held,
        "memory": memory,
        "memory_ratio": memory and memory[OURS] / memory["masked"],
    }


def _may_fit(case: Case, device: torch.device) -> bool:
    """False where the weights and their optimiser alone are more than is free."""
    return STATE * size_of(case.model).parameters < _free(device)


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
