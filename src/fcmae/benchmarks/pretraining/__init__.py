"""Speed and memory of pre-training steps: dense, masked, tiled and timm's classifier, in turns."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from fcmae.benchmarks.options import check_counts, check_patches, check_run, use_threads
from fcmae.errors import check_target, unknown

SWEEPS = ("mask-ratio", "image-size", "batch", "size")


def benchmark_pretraining(
    *,
    models: tuple[str, ...] = (),
    batch_sizes: tuple[int, ...] = (),
    image_sizes: tuple[int, ...] = (),
    mask_ratios: tuple[float, ...] = (),
    precisions: tuple[Literal["fp32", "bf16"], ...] = (),
    device: str = "auto",
    repeats: int = 7,
    threads: int | None = None,
    sweep: Literal["mask-ratio", "image-size", "batch", "size"] | None = None,
    out: Path | None = None,
    json: Path | None = None,
) -> list[dict[str, Any]]:
    """Time whole pre-training steps in the modes dense, masked and tiled, and timm's classifier.

    Each step is forward, backward and AdamW on fixed random images with a fresh mask. The modes
    take turns, so that a busy machine disturbs them alike; ratios are medians of the ratios within
    a round. Dense hides nothing from its encoder, at the same decoder and loss; timm trains its own
    model of the same name on labels of the same images. Beside each
    combination stands how far its tiled and masked steps are apart; where that is more than
    rounding, the row says that it is not right, and the command ends with an error once all rows
    are shown and written. A combination that does not fit in memory is a row that says so. Plain
    matrix products take a turn too: they tell which share of the device's rate is used.

    Args:
        models: names of `fcmae.list_models()`; every combination with what follows is run. None
            given: Atto and Tiny; Base on CUDA and Atto elsewhere in a sweep, and in a sweep over
            the sizes all of V2, up to Base where there is no CUDA.
        batch_sizes: images a step. None given: 64 on CUDA; elsewhere 16 for models up to Nano, 8
            for Tiny and Small, 4 for larger ones, which fits 8 GB; 4 in sweeps over image size and
            size; six of them in a sweep over batch.
        image_sizes: pixels a side, multiples of 32. None given: 224, or six from 96 to 384 in a
            sweep over them.
        mask_ratios: share of patches to mask. None given: the paper's 0.6, or six from 0.25 to 0.9
            in a sweep over them.
        precisions: of the forward pass. None given: bf16 where CUDA multiplies it, else fp32.
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        repeats: rounds, each one step a mode; medians are taken over them.
        threads: processor threads; None: as many as PyTorch takes by itself.
        sweep: draw speed and memory over the mask ratio, the image size, the batch or the model's
            size, with what arithmetic allows, in results.json, results.csv, figure.png, figure.svg
            and page.html.
        out: folder of a sweep's files; None: runs/sweep-NAME. A sweep that was cut off goes on.
        json: file to write rows, machine, versions, command and date to, without a sweep.

    Returns:
        One row a combination, as in the JSON file: times in seconds, memory in bytes.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if tiled and masked steps of a row do not agree; all were shown and written.
    """
    check_run(models, precisions, repeats=repeats, threads=threads)
    check_counts("batch_sizes", *batch_sizes)
    check_patches("image_sizes", *image_sizes)
    _check_ratios(mask_ratios, image_sizes)
    _check_targets(sweep, out, json)

    import torch
    from rich.console import Console

    from fcmae.benchmarks.pretraining.agreement import require_agreement
    from fcmae.benchmarks.pretraining.measurement import Settings
    from fcmae.benchmarks.pretraining.screen import table_of
    from fcmae.benchmarks.pretraining.sweeps import Wanted, choose_cases, run_cases
    from fcmae.benchmarks.pretraining.workload import CASE
    from fcmae.findings.machine import describe_run
    from fcmae.findings.record import Record, say_written, write_rows
    from fcmae.training.devices import choose_device, settle

    where = choose_device(device)
    settle(where)
    wanted = Wanted(models, batch_sizes, image_sizes, mask_ratios, precisions)
    cases = choose_cases(wanted, sweep, where)
    settings = Settings(repeats)
    screen = Console()
    with use_threads(threads):
        run = {**describe_run(where), "settings": {**asdict(settings), "sweep": sweep}}
        folder = out or Path("runs") / f"sweep-{sweep}"
        rows = run_cases(cases, where, settings, Record(folder, run, CASE) if sweep else None)
    screen.print(f"{run['machine']}; torch {torch.__version__}")
    screen.print(table_of(rows))
    if sweep:
        from fcmae.benchmarks.pretraining.sweep_page import write_sweep

        say_written(write_sweep(folder, sweep, rows, run))
    if json is not None:
        write_rows(json, run, rows)
    require_agreement(rows)
    return rows


def _check_ratios(mask_ratios: Sequence[float], image_sizes: Sequence[int]) -> None:
    if not mask_ratios:
        return
    from fcmae.models.masks import num_visible

    for ratio in mask_ratios:
        for value in image_sizes or (224,):
            num_visible((value // 32) ** 2, ratio)


def _check_targets(sweep: str | None, out: Path | None, json: Path | None) -> None:
    if sweep is not None and sweep not in SWEEPS:
        raise unknown("sweep", sweep, SWEEPS)
    if out is not None and sweep is None:
        raise ValueError(f"out {out} is for the files of a sweep: give --sweep too, or use --json")
    if json is not None and sweep is not None:
        raise ValueError(
            f"json {json} is for a run without a sweep: a sweep's rows are in results.json in --out"
        )
    if json is not None:
        check_target("json", json)
