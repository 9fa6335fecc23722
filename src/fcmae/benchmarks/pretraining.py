"""Speed and memory of pre-training steps: a dense encoder, masked and tiled, in one run."""

import contextlib
import itertools
import json as json_format
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fcmae.errors import check_target, unknown
from fcmae.sizes import size_of

if TYPE_CHECKING:
    import torch

    from fcmae.benchmarks.workload import Case


def benchmark_pretraining(
    *,
    models: tuple[str, ...] = ("convnextv2_atto", "convnextv2_tiny"),
    batch_sizes: tuple[int, ...] = (),
    image_sizes: tuple[int, ...] = (224,),
    mask_ratios: tuple[float, ...] = (0.6,),
    precisions: tuple[Literal["fp32", "bf16"], ...] = (),
    device: str = "auto",
    repeats: int = 7,
    threads: int | None = None,
    json: Path | None = None,
) -> list[dict[str, Any]]:
    """Time whole pre-training steps in the modes dense, masked and tiled.

    Each step is forward, backward and AdamW on fixed random images with a fresh mask. The modes
    take turns, so that a busy machine disturbs them alike; ratios are medians of the ratios within
    a round. Dense hides nothing from its encoder, at the same decoder and loss. A combination is
    timed only after its tiled and masked steps were found to agree.

    Args:
        models: names of `fcmae.list_models()`; every combination with what follows is run.
        batch_sizes: images a step. None given: 64 on CUDA; elsewhere 16 for models up to Nano, 8
            for Tiny and Small, 4 for larger ones, which fits 8 GB.
        image_sizes: pixels a side, multiples of 32.
        mask_ratios: share of patches to mask (the paper's: 0.6).
        precisions: of the forward pass. None given: bf16 where CUDA multiplies it, else fp32.
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        repeats: rounds, each one step a mode; medians are taken over them.
        threads: processor threads; None: as many as PyTorch takes by itself.
        json: file to write rows, machine, versions, command and date to.

    Returns:
        One row a combination, as in the JSON file: times in seconds, memory in bytes.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if tiled and masked steps do not agree: wrong results are not timed.
    """
    _check(
        models,
        batch_sizes,
        image_sizes=image_sizes,
        precisions=precisions,
        repeats=repeats,
        threads=threads,
        json=json,
    )

    import torch
    from rich.console import Console

    from fcmae.benchmarks.machine import describe_run
    from fcmae.benchmarks.memory import measure_memory
    from fcmae.benchmarks.table import table_of
    from fcmae.benchmarks.workload import Case
    from fcmae.checkpoint import write_text
    from fcmae.devices import choose_device, choose_precision

    where = choose_device(device)
    cases = [
        Case(model, image_size, batch_size, ratio, precision)
        for model, image_size, ratio, precision in itertools.product(
            models, image_sizes, mask_ratios, precisions or (choose_precision("auto", where),)
        )
        for batch_size in batch_sizes or (_batch_size(model, where.type),)
    ]
    screen, progress = Console(), Console(stderr=True)
    with _threads(threads), progress.status("") as status:
        run = describe_run(where)
        timings = []
        for number, case in enumerate(cases, 1):
            status.update(f"{_words(case)} ({number} of {len(cases)}): time")
            timings.append(_time(case, where, repeats))
        status.update("memory of every combination")
        memories = measure_memory(cases, where)
    rows = [_row(*parts) for parts in zip(cases, timings, memories, strict=True)]
    screen.print(f"{run['machine']}; torch {torch.__version__}")
    screen.print(table_of(rows))
    if json is not None:
        write_text(json, json_format.dumps({**run, "rows": rows}, indent=1) + "\n")
        screen.print(f"Wrote {json}", soft_wrap=True, highlight=False)
    return rows


def _check(
    models: Sequence[str],
    batch_sizes: Sequence[int],
    *,
    image_sizes: Sequence[int],
    precisions: Sequence[str],
    repeats: int,
    threads: int | None,
    json: Path | None,
) -> None:
    """Refuse at once what would only fail after minutes; masks check their ratios themselves."""
    for model in models:
        size_of(model)
    for precision in precisions:
        if precision not in ("fp32", "bf16"):
            raise unknown("precision", precision, ("fp32", "bf16"))
    numbers = [("batch_sizes", value) for value in batch_sizes]
    numbers += [("repeats", repeats), ("threads", 1 if threads is None else threads)]
    for name, value in numbers:
        if value < 1:
            raise ValueError(f"{name}: {value} is less than 1")
    for value in image_sizes:
        if value < 32 or value % 32:
            below = max(value // 32, 1) * 32
            raise ValueError(
                f"image_sizes: {value} is not a multiple of 32 pixels, the patch size: "
                f"try {below} or {below + 32}"
            )
    if json is not None:
        check_target("json", json)


def _batch_size(model: str, device: str) -> int:
    if device == "cuda":
        return 64
    return {40: 16, 48: 16, 64: 16, 80: 16, 96: 8}.get(size_of(model).width, 4)


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Compute with `number` processor threads meanwhile."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(number or usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _time(case: "Case", device: "torch.device", repeats: int) -> dict[str, list[float]]:
    """Seconds of each mode's step, round by round."""
    from fcmae.benchmarks.workload import MODES, Workload

    workload = Workload(case, device)
    workload.require_agreement()
    seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
    for turn in range(repeats + 1):
        mask = workload.fresh_mask()  # the same for the modes of a round
        for mode in MODES:
            workload.place.synchronise()
            began = time.perf_counter()
            workload.step(mask, mode)
            workload.forget_gradients()
            workload.place.synchronise()
            if turn > 0:  # the first round warms up
                seconds[mode].append(time.perf_counter() - began)
    return seconds


def _row(
    case: "Case", seconds: dict[str, list[float]], memory: dict[str, int] | None
) -> dict[str, Any]:
    median = {mode: statistics.median(values) for mode, values in seconds.items()}
    speedup = {
        f"tiled / {mode}": sorted(
            slow / fast for slow, fast in zip(seconds[mode], seconds["tiled"], strict=True)
        )
        for mode in ("masked", "dense")
    }
    return {
        **asdict(case),
        "images_per_second": {mode: case.batch_size / value for mode, value in median.items()},
        "speedup": {name: statistics.median(values) for name, values in speedup.items()},
        "speedup_range": {name: [values[0], values[-1]] for name, values in speedup.items()},
        "seconds": seconds,
        "memory": memory,
        "memory_ratio": memory and memory["tiled"] / memory["masked"],
    }


def _words(case: "Case") -> str:
    return f"{case.model}, {case.image_size} px, batch {case.batch_size}, {case.precision}"
