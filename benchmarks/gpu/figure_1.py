"""Figure 1's protocol (appendix C): each mode for itself.

A mode that fits is worth knowing where the other does not. `fcmae study sparse-efficiency`
measures sizes whole.
"""

import functools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from fcmae.benchmarks import measuring
from fcmae.benchmarks.pretraining.measurement import peak_of
from fcmae.benchmarks.pretraining.workload import Case, Workload
from gpu.device_time import all_of, kernels_of

BATCH_SIZE = 64  # on each GPU
STEPS, TURNS = 20, 4  # and turns that divide them


def figure_1(
    device: torch.device,
    *,
    model: str,
    precision: str = "bf16",
    batch_size: int = BATCH_SIZE,
    image_size: int = 224,
    steps: int = STEPS,
) -> Iterator[dict[str, Any]]:
    """Forward and backward passes without an update: images a second, and the peak of memory.

    The modes take turns of a quarter of the steps; a ratio is the median over turns.

    Args:
        device: where.
        model: a name of `fcmae.list_models()`.
        precision: fp32 or bf16.
        batch_size: images a step.
        image_size: pixels a side.
        steps: of each mode.

    Yields:
        A row for each mode, times in seconds and memory in bytes; `error` where it does not fit.
        `device_seconds` is the sum of a step's kernels. Where both fit, masked's has `speedup`, how
        many times faster tiled is, and `device_speedup`, the same of the kernels alone; a third row
        says how far their losses and gradients are apart.
    """
    case = Case(model, image_size, batch_size, 0.6, precision)
    workload = Workload(case, device)
    masks = [workload.fresh_mask() for _ in range(steps)]
    memory: dict[str, int] = {}
    for mode in ("tiled", "masked"):
        try:
            memory[mode] = peak_of(workload, mode, update=False, repeats=1)
        except (RuntimeError, MemoryError) as error:
            if not measuring.is_lack_of_memory(error):
                raise
            workload.forget_gradients()
            torch.cuda.empty_cache()
            yield {**asdict(case), "mode": mode, "error": measuring.TOO_LARGE}

    # In a turn one after another: the host may run ahead, as in training.
    ways: dict[str, Callable[[Sequence[Tensor]], None]] = {}
    for mode in memory:
        step = functools.partial(workload.whole_step, mode=mode, update=False)
        ways[mode] = functools.partial(all_of, step)
    parts = [masks[turn::TURNS] for turn in range(TURNS)]
    turns = measuring.take_turns(ways, workload.runtime, TURNS, iter(parts).__next__, warm_up=0)
    held, rows = workload.held(update=False), {}
    for mode, taken in turns.items():
        seconds = [value / len(part) for value, part in zip(taken, parts, strict=True)]
        median = statistics.median(seconds)
        kernels = kernels_of(functools.partial(ways[mode], masks[:1]), device, 1)
        rows[mode] = {
            **asdict(case),
            "mode": mode,
            "images_per_second": batch_size / median,
            "step_seconds": median,
            "turns": seconds,
            "memory": memory[mode],
            "held": held,
            "device_seconds": sum(kernel.seconds for kernel in kernels),
        }
    if len(rows) < 2:
        yield from rows.values()
        return
    tiled, masked = rows["tiled"], rows["masked"]
    masked |= {
        "device_speedup": masked["device_seconds"] / tiled["device_seconds"],
        **measuring.speedup(masked["turns"], tiled["turns"]),
        "memory_ratio": (held + memory["tiled"]) / (held + memory["masked"]),
    }
    yield from (tiled, masked)
    yield {**asdict(case), "mode": "tiled and masked", **workload.agreement()}
