"""The benchmark of pre-training: which cases it has, measured so that nothing done is lost."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from fcmae.benchmarks import command
from fcmae.benchmarks.pretraining.measurement import Settings, measure, step_arithmetic
from fcmae.benchmarks.pretraining.pages import table_on_screen, write_sweep
from fcmae.benchmarks.pretraining.workload import CASE, Case, require_agreement
from fcmae.commands.benchmark import BenchmarkPretraining, Rows, Sweep
from fcmae.console.units import duration
from fcmae.errors import unknown
from fcmae.models.masks import num_visible
from fcmae.report.record import Record, describe_run, say_written
from fcmae.sizes import is_v2, list_models, size_of
from fcmae.training.devices import choose_device, choose_precision, keep_freed_memory

SWEEPS = ("mask-ratio", "image-size", "batch", "size")
RATIOS = (0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
PIXELS = (96, 128, 160, 224, 288, 384)
LARGEST = "convnextv2_base"  # larger ones take a processor hours


def run_benchmark_pretraining(options: BenchmarkPretraining) -> Rows:
    """Measure every combination; show and write the rows, of a sweep its page too."""
    _check(options)
    device = choose_device(options.device)
    keep_freed_memory(device)
    cases = choose_cases(options, device)
    settings, sweep = Settings(options.repeats), options.sweep
    with command.use_threads(options.threads):
        described = {**describe_run(device), "settings": {**asdict(settings), "sweep": sweep}}
        folder = Path(options.out or f"runs/sweep-{sweep}")
        record = Record(folder, described, CASE) if sweep else None
        rows = measure_cases(cases, device, settings, record)
    heading = f"{described['machine']}; torch {torch.__version__}"
    command.show_and_write(heading, table_on_screen(rows), described, rows, options.json)
    if sweep:
        say_written(write_sweep(folder, sweep, rows, described))
    require_agreement(rows)
    return rows


def _check(options: BenchmarkPretraining) -> None:
    command.check(options)
    command.check_patches("image_sizes", *options.image_sizes)
    for ratio, side in itertools.product(options.mask_ratios, options.image_sizes or (224,)):
        num_visible((side // 32) ** 2, ratio)
    sweep, out, json = options.sweep, options.out, options.json
    if sweep is not None and sweep not in SWEEPS:
        raise unknown("sweep", sweep, SWEEPS)
    if out is not None and sweep is None:
        raise ValueError(f"out {out} is for the files of a sweep: give --sweep too, or use --json")
    if json is not None and sweep is not None:
        raise ValueError(
            f"json {json} is for a run without a sweep: a sweep's rows are in results.json in --out"
        )


def choose_cases(options: BenchmarkPretraining, device: torch.device) -> list[Case]:
    """Every combination of what is wanted; what is not given suits the sweep and the device."""
    large, sweep = device.type == "cuda", options.sweep
    models = options.models or _models(sweep, large=large)
    pixels = options.image_sizes or (PIXELS if sweep == "image-size" else (224,))
    ratios = options.mask_ratios or (RATIOS if sweep == "mask-ratio" else (0.6,))
    precisions = options.precisions or (choose_precision("auto", device),)
    return [
        Case(model, image_size, batch_size, ratio, precision)
        for model, image_size, ratio, precision in itertools.product(
            models, pixels, ratios, precisions
        )
        for batch_size in options.batch_sizes or _batch_sizes(model, sweep, large=large)
    ]


def _models(sweep: Sweep | None, *, large: bool) -> tuple[str, ...]:
    if sweep is None:
        return ("convnextv2_atto", "convnextv2_tiny")
    if sweep != "size":
        return ("convnextv2_base" if large else "convnextv2_atto",)
    v2 = tuple(model for model in list_models() if is_v2(model))
    return v2 if large else v2[: v2.index(LARGEST) + 1]


def _batch_sizes(model: str, sweep: Sweep | None, *, large: bool) -> tuple[int, ...]:
    if sweep == "batch":
        return (8, 16, 32, 64, 128, 256) if large else (1, 2, 4, 8, 16, 32)
    if large:
        return (64,)
    if sweep in ("size", "image-size"):
        return (4,)  # one that suits every case, since memory grows with it
    return ({40: 16, 48: 16, 64: 16, 80: 16, 96: 8}.get(size_of(model).width, 4),)


def measure_cases(
    cases: Sequence[Case], device: torch.device, settings: Settings, record: Record | None = None
) -> Rows:
    """A row for each case, in their order; each is in the record before the next begins.

    Args:
        cases: what to measure.
        device: where.
        settings: how.
        record: what is already there is not measured again; what is measured is added.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    known = {case: record.row(asdict(case)) if record else None for case in cases}
    ahead = [case for case in cases if known[case] is None]
    left = _time_left(ahead)
    with console.status("") as status:
        for number, case in enumerate(ahead, 1):
            line = f"{case} ({number} of {len(ahead)}{left(number - 1)})"
            status.update(line)
            if not console.is_terminal:
                console.print(line, soft_wrap=True)
            known[case] = row = measure(case, device, settings)
            if record:
                record.add(row)
    return [row for row in (known[case] for case in cases) if row is not None]


def _time_left(cases: Sequence[Case]) -> Callable[[int], str]:
    """Words about the time left once so many cases are done, by the arithmetic of each."""
    began = time.monotonic()
    work = [step_arithmetic(case, "dense") for case in cases]

    def words(done: int) -> str:
        if done == 0:
            return ""
        seconds = (time.monotonic() - began) * sum(work[done:]) / sum(work[:done])
        return f", about {duration(seconds)} left"

    return words
