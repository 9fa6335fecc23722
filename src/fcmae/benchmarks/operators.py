"""Every implementation of every operator, at the four stages of a model, forward and backward."""

import json as json_format
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fcmae.benchmarks.pretraining import check_run, use_threads
from fcmae.errors import check_target
from fcmae.sizes import size_of

if TYPE_CHECKING:
    from rich.table import Table

    from fcmae.benchmarks.operator_cases import Implementation, Operator
    from fcmae.benchmarks.rates import Rate
    from fcmae.devices import Place

PASSES = ("forward", "backward")


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
    size_of(model)
    check_run((precision,) if precision else (), repeats=repeats, threads=threads)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size: {batch_size} is less than 1")
    if image_size < 32 or image_size % 32:
        raise ValueError(f"image_size: {image_size} is not a multiple of 32 pixels, the patch size")
    if json is not None:
        check_target("json", json)

    from rich.console import Console

    from fcmae.benchmarks.machine import describe_run
    from fcmae.benchmarks.operator_cases import operators
    from fcmae.checkpoint import write_text
    from fcmae.devices import Place, choose_device, choose_precision, settle

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
        write_text(json, json_format.dumps({**run, **case, "rows": rows}, indent=1) + "\n")
        screen.print(f"Wrote {json}", soft_wrap=True, highlight=False)
    return rows


def measure_operator(operator: "Operator", place: "Place", repeats: int) -> list[dict[str, Any]]:
    """A row for each implementation, the plain one first.

    Raises:
        RuntimeError: if they do not agree.
    """
    from fcmae.benchmarks.rates import matrix_products, memory_traffic

    operator.require_agreement(place)
    products, traffic = matrix_products(place), memory_traffic(place)
    seconds: dict[str, dict[str, list[float]]] = {
        implementation.name: {name: [] for name in PASSES}
        for implementation in operator.implementations
    }
    for turn in range(repeats + 1):
        for implementation in operator.implementations:
            for name, value in zip(PASSES, _passes(implementation, place), strict=True):
                if turn > 0:  # the first round warms up
                    seconds[implementation.name][name].append(value)
        if turn > 0:
            products.take_turn()
            traffic.take_turn()
    rates = (products.fastest(), traffic.fastest())
    plain = seconds[operator.implementations[0].name]
    return [
        {
            "operator": operator.name,
            "stage": operator.stage,
            "implementation": name,
            "seconds": times,
            **{
                what: _pass(operator, index, times[what], plain[what], rates)
                for index, what in enumerate(PASSES)
            },
            "matrix_products_per_second": rates[0].per_second,
            "bytes_per_second": rates[1].per_second,
        }
        for name, times in seconds.items()
    ]


def _passes(implementation: "Implementation", place: "Place") -> tuple[float, float]:
    """Seconds of the forward and of the backward pass."""
    import torch

    from fcmae.benchmarks.rates import seconds_of

    results: list[torch.Tensor] = []

    def forward() -> None:
        with place.autocast():
            results.append(implementation.forward())

    ahead = seconds_of(forward, place)
    (out,) = results
    outer = torch.ones_like(out)
    back = seconds_of(lambda: torch.autograd.grad(out, implementation.variables, outer), place)
    return ahead, back


def _pass(
    operator: "Operator",
    index: int,
    seconds: list[float],
    plain: list[float],
    rates: "tuple[Rate, Rate]",
) -> dict[str, Any]:
    """What the times of one pass come to."""
    from fcmae.benchmarks.measurement import ratios

    amounts = (operator.operations[index], operator.bytes[index])
    times = [amount / rate.per_second for amount, rate in zip(amounts, rates, strict=True)]
    bound = times.index(max(times))
    faster = ratios(plain, seconds)
    return {
        "median_seconds": statistics.median(seconds),
        "speedup": statistics.median(faster),
        "speedup_range": [faster[0], faster[-1]],
        "bound": ("matrix products", "memory")[bound],
        "share": statistics.median(rates[bound].shares(amounts[bound], seconds)),
    }


def _table(rows: list[dict[str, Any]]) -> "Table":
    from rich import box
    from rich.table import Table

    caption = (
        "Ratio: how many times faster than the reference, the median over rounds. Share: of the "
        "rate of large matrix products (p) or of copying memory (m), whichever bounds the operator."
    )
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left", padding=(0, 1, 0, 0))
    for heading in ("operator, stage", "by"):
        table.add_column(heading)
    for name in ("forward", "backward"):
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
