"""The classifier against timm's of the same weights: classifying images, and a fine-tuning step."""

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fcmae.benchmarks.options import check_counts, check_run, use_threads
from fcmae.errors import check_target

if TYPE_CHECKING:
    from rich.table import Table

SMALLEST = 32  # pixels a side that give a site at the last stage


def benchmark_inference(
    *,
    models: tuple[str, ...] = ("convnextv2_atto", "convnextv2_tiny"),
    batch_sizes: tuple[int, ...] = (1, 32),
    image_sizes: tuple[int, ...] = (224,),
    precisions: tuple[Literal["fp32", "bf16"], ...] = (),
    compile: bool = False,
    device: str = "auto",
    repeats: int = 7,
    threads: int | None = None,
    json: Path | None = None,
) -> list[dict[str, Any]]:
    """Time the classifier against timm's model of the same name and the same weights.

    Forward alone, and a fine-tuning step: forward, backward and AdamW. The weights are ours in
    timm's names; nothing is timed before both were found to give the same logits. The libraries
    take turns, and ratios are medians of the ratios within a round.

    Args:
        models: names of `fcmae.list_models()`.
        batch_sizes: images at a time.
        image_sizes: pixels a side, 32 or more.
        precisions: of the forward pass. None given: bf16 where CUDA multiplies it, else fp32.
        compile: also time both compiled by torch.compile, which takes minutes first.
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        repeats: rounds; medians are taken over them. At least 7 say something.
        threads: processor threads; None: as many as PyTorch takes by itself.
        json: file to write rows, machine, versions, command and date to.

    Returns:
        A row for each combination, of eager and compiled models, forward alone and a whole step.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if the two libraries do not give the same logits.
    """
    check_run(models, precisions, repeats=repeats, threads=threads)
    check_counts("batch_sizes", *batch_sizes)
    for value in image_sizes:
        if value < SMALLEST:
            raise ValueError(f"image_sizes: {value} is less than {SMALLEST} pixels, the smallest")
    if json is not None:
        check_target("json", json)

    from rich.console import Console

    from fcmae.benchmarks.inference.classifiers import InferenceCase, measure_inference
    from fcmae.benchmarks.memory import TOO_LARGE, is_lack_of_memory
    from fcmae.findings.machine import describe_run
    from fcmae.findings.record import write_rows
    from fcmae.training.devices import Place, choose_device, choose_precision, settle

    where = choose_device(device)
    settle(where)
    screen, progress = Console(), Console(stderr=True)
    rows: list[dict[str, Any]] = []
    combinations = itertools.product(
        models, image_sizes, batch_sizes, precisions or (choose_precision("auto", where),)
    )
    with use_threads(threads), progress.status("") as status:
        run = describe_run(where)
        for combination in combinations:
            case = InferenceCase(*combination)
            status.update(f"{case.model}, {case.image_size} px, batch {case.batch_size}")
            try:
                place = Place(where, case.precision)
                rows += measure_inference(case, place, repeats, compiled=compile)
            except (RuntimeError, MemoryError) as error:
                if not is_lack_of_memory(error):
                    raise
                rows.append({**asdict(case), "error": TOO_LARGE})
    screen.print(run["machine"])
    screen.print(_table(rows))
    if json is not None:
        write_rows(json, run, rows)
    return rows


def _table(rows: list[dict[str, Any]]) -> "Table":
    from rich import box
    from rich.table import Table

    caption = "Ratio of images/s, the median over rounds, with the lowest and the highest."
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left", padding=(0, 1, 0, 0))
    for heading in ("model", "what"):
        table.add_column(heading)
    for heading in ("ours\nimages/s", "timm\nimages/s", "ours is faster by"):
        table.add_column(heading, justify="right")
    for row in rows:
        case = f"{row['model']}\n{row['image_size']} px, batch {row['batch_size']}"
        if "error" in row:
            table.add_row(case, row["error"])
            continue
        low, high = row["speedup_range"]
        speeds = (f"{row['images_per_second'][name]:.1f}" for name in ("ours", "timm"))
        ratio = f"{row['speedup']:.2f}x ({low:.2f} to {high:.2f})"
        table.add_row(case, f"{row['work']}, {row['kind']}", *speeds, ratio)
    return table
