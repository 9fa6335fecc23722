"""Figure 1's protocol (appendix C), row by row: what fits is known even where the other does not.

`fcmae study sparse-efficiency` measures whole cases and draws them; here each mode stands for
itself, since a mode that fits is worth knowing where the other does not.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from fcmae.benchmarks.memory import TOO_LARGE, is_lack_of_memory
from fcmae.benchmarks.pretraining.device_time import kernels_of
from fcmae.benchmarks.pretraining.step_memory import peak_of
from fcmae.benchmarks.pretraining.workload import Case, Workload
from fcmae.benchmarks.timing import ratios, seconds_of

MODES = ("tiled", "masked")
STEPS = 20
TURNS = 4  # that divide them


def figure_1(
    device: torch.device,
    *,
    model: str,
    precision: str = "bf16",
    batch_size: int = 64,
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
    for mode in MODES:
        try:
            memory[mode] = peak_of(workload, mode, update=False, repeats=1)
        except (RuntimeError, MemoryError) as error:
            if not is_lack_of_memory(error):
                raise
            workload.forget_gradients()
            torch.cuda.empty_cache()
            yield {**asdict(case), "mode": mode, "error": TOO_LARGE}
    turns: dict[str, list[float]] = {mode: [] for mode in memory}
    for turn in range(TURNS):
        part = masks[turn::TURNS]
        for mode in memory:
            turns[mode].append(_seconds(workload, part, mode) / len(part))
    rows = {mode: _row(mode, turns[mode], memory[mode], workload) for mode in memory}
    for mode, row in rows.items():
        kernels = kernels_of(_once(workload, masks, mode), device, 1)
        row["device_seconds"] = sum(kernel.seconds for kernel in kernels)
    if len(rows) == len(MODES):
        faster = ratios(turns["masked"], turns["tiled"])
        held = workload.held(update=False)
        busy = {mode: row["device_seconds"] for mode, row in rows.items()}
        rows["masked"] |= {
            "device_speedup": busy["masked"] / busy["tiled"],
            "speedup": statistics.median(faster),
            "speedup_range": [faster[0], faster[-1]],
            "memory_ratio": (held + memory["tiled"]) / (held + memory["masked"]),
        }
    yield from rows.values()
    if len(rows) == len(MODES):
        yield {**asdict(case), "mode": "tiled and masked", **workload.agreement()}


def _once(workload: Workload, masks: list[Tensor], mode: str) -> Callable[[], None]:
    def step() -> None:
        workload.step(masks[0], mode, update=False)
        workload.forget_gradients()

    return step


def _seconds(workload: Workload, masks: list[Tensor], mode: str) -> float:
    """Of all steps one after another: the host may run ahead, as in training."""

    def steps() -> None:
        for mask in masks:
            workload.step(mask, mode, update=False)
            workload.forget_gradients()

    return seconds_of(steps, workload.place)


def _row(mode: str, seconds: list[float], memory: int, workload: Workload) -> dict[str, Any]:
    step = statistics.median(seconds)
    return {
        **asdict(workload.case),
        "mode": mode,
        "images_per_second": workload.case.batch_size / step,
        "step_seconds": step,
        "turns": seconds,
        "memory": memory,
        "held": workload.held(update=False),
    }
