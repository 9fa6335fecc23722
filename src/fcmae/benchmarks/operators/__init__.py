"""Every implementation of every operator, at the four stages of a model, forward and backward."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fcmae.benchmarks.options import check_counts, check_patches, check_run, use_threads
from fcmae.errors import check_target

if TYPE_CHECKING:
    from rich.table import Table


def benchmark_operators(
    *,
    model: str = "convnextv2_atto",
    batch_size: int | None = None,
    image_size: int = 224,
    mask_ratio: float = 0.6,
    precision: Literal["fp32", "bf16"] | None = None,
    device: str = "auto",
    repeats: int = 7,
    threads: int | None = None,
    json: Path | None = None,
) -> list[dict[str, Any]]:
    """Time each implementation of each operator on the sites of a model's four stages.

    The implementations take turns, and ratios against the plain one are medians of the ratios
    within a round. Nothing is timed before results and gradients were found to agree. What the
    device could do is measured in the same rounds: an operator is as fast as can be where it takes
    the time of its arithmetic at the rate of large matrix products, or of reading and writing its
    sites once at the rate of a copy, whichever is longer.

    Args:
        model: a name of `fcmae.list_models()`, which decides the channels.
        batch_size: images. Default: 64 on CUDA, 16 elsewhere.
        image_size: pixels a side, a multiple of 32.
        mask_ratio: share of patches to mask.
        precision: fp32 or bf16. Default: bf16 where CUDA multiplies it, else fp32.
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        repeats: rounds; medians are taken over them.
        threads: processor threads; None: as many as PyTorch takes by itself.
        json: file to write rows, rates, machine, versions, command and date to.

    Returns:
        One row for each implementation at each stage, as in the JSON file; times in seconds.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if two implementations do not agree: wrong results are not timed.
    """
    check_run((model,), (precision,) if precision else (), repeats=repeats, threads=threads)
    check_counts("batch_size", batch_size)
    check_patches("image_size", image_size)
    if json is not None:
        check_target("json", json)

    from rich.console import Console

    from fcmae.benchmarks.operators.cases import operators
    from fcmae.benchmarks.operators.measurement import measure_operator
    from fcmae.findings.machine import describe_run
    from fcmae.findings.record import write_rows
    from fcmae.training.devices import Place, choose_device, choose_precision, settle

    where = choose_device(device)
    settle(where)
    place = Place(where, precision or choose_precision("auto", where))
    images = batch_size or (64 if where.type == "cuda" else 16)
    screen, progress = Console(), Console(stderr=True)
    rows: list[dict[str, Any]] = []
    with use_threads(threads), progress.status("") as status:
        run = describe_run(where)
        for operator in operators(model, image_size, images, mask_ratio, place):
            status.update(f"{operator.name}, stage {operator.stage}")
            rows += measure_operator(operator, place, repeats)
    screen.print(f"{run['machine']}; {model}, {image_size} px, batch {images}, {place.precision}")
    screen.print(_table(rows))
    if json is not None:
        case = {"model": model, "image_size": image_size, "batch_size": images}
        case |= {"mask_ratio": mask_ratio, "precision": place.precision}
        write_rows(json, {**run, **case}, rows)
    return rows


def _table(rows: list[dict[str, Any]]) -> "Table":
    from rich import box
    from rich.table import Table

    from fcmae.benchmarks.operators.measurement import PASSES

    caption = (
        "Ratio: how many times faster than the reference, the median over rounds. Share: of the "
        "rate of large matrix products (p) or of copying memory (m), whichever bounds the operator."
    )
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left", padding=(0, 1, 0, 0))
    for heading in ("operator, stage", "by"):
        table.add_column(heading)
    for name in PASSES:
        for heading in (f"{name}\nms", "ratio", "share"):
            table.add_column(heading, justify="right")
    for row in rows:
        cells = [
            text
            for name in PASSES
            for text in (
                f"{1e3 * row[name]['median_seconds']:.2f}",
                f"{row[name]['speedup']:.2f}x",
                f"{row[name]['share']:.0%} {row[name]['bound'].replace('matrix ', '')[0]}",
            )
        ]
        table.add_row(f"{row['operator']} {row['stage']}", row["implementation"], *cells)
    return table
