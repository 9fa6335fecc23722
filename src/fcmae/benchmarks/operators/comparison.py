"""Every implementation of every operator, at the four stages of a model, forward and backward.

The implementations take turns, and what the device could do is measured beside them.
"""

import statistics
from typing import TYPE_CHECKING, Any

import torch

from fcmae.benchmarks import command, measuring
from fcmae.benchmarks.operators.cases import Implementation, Operator, operators
from fcmae.commands.benchmark import BenchmarkOperators, Rows
from fcmae.report.record import describe_run
from fcmae.training.devices import Runtime, choose_device, choose_precision, keep_freed_memory

if TYPE_CHECKING:
    from rich.table import Table

PASSES = ("forward", "backward")


def run_benchmark_operators(options: BenchmarkOperators) -> Rows:
    """Measure every operator at every stage; show and write the rows."""
    command.check(options)
    command.check_patches("image_size", options.image_size)
    device = choose_device(options.device)
    keep_freed_memory(device)
    runtime = Runtime(device, options.precision or choose_precision("auto", device))
    batch_size = options.batch_size or (64 if device.type == "cuda" else 16)
    case = options.model, options.image_size, batch_size, options.mask_ratio
    rows: Rows = []
    with command.use_threads(options.threads), command.progress() as status:
        described = describe_run(device)
        for operator in operators(*case, runtime):
            status.update(f"{operator.name}, stage {operator.stage}")
            rows += measure_operator(operator, runtime, options.repeats)
    fields = ("model", "image_size", "batch_size", "mask_ratio", "precision")
    described |= dict(zip(fields, (*case, runtime.precision), strict=True))
    heading = f"{described['machine']}; {options.model}, {options.image_size} px, "
    heading += f"batch {batch_size}, {runtime.precision}"
    command.show_and_write(heading, _table(rows), described, rows, options.json)
    return rows


def measure_operator(operator: Operator, runtime: Runtime, repeats: int) -> list[dict[str, Any]]:
    """A row for each implementation, the plain one first.

    Raises:
        RuntimeError: if they do not agree.
    """
    operator.require_agreement(runtime)
    products, traffic = measuring.matrix_products(runtime), measuring.memory_traffic(runtime)
    seconds: dict[str, dict[str, list[float]]] = {
        implementation.name: {name: [] for name in PASSES}
        for implementation in operator.implementations
    }
    for turn in range(repeats + 1):
        for implementation in operator.implementations:
            for name, value in zip(PASSES, _passes(implementation, runtime), strict=True):
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


def _passes(implementation: Implementation, runtime: Runtime) -> tuple[float, float]:
    """Seconds of the forward and of the backward pass."""
    results: list[torch.Tensor] = []

    def forward() -> None:
        with runtime.autocast():
            results.append(implementation.forward())

    ahead = measuring.seconds_of(forward, runtime)
    (out,) = results
    outer = torch.ones_like(out)
    back = measuring.seconds_of(
        lambda: torch.autograd.grad(out, implementation.variables, outer), runtime
    )
    return ahead, back


def _pass(
    operator: Operator,
    index: int,
    seconds: list[float],
    plain: list[float],
    rates: tuple[measuring.Rate, measuring.Rate],
) -> dict[str, Any]:
    """What the times of one pass come to."""
    amounts = (operator.operations[index], operator.bytes[index])
    times = [amount / rate.per_second for amount, rate in zip(amounts, rates, strict=True)]
    bound = times.index(max(times))
    return {
        "median_seconds": statistics.median(seconds),
        **measuring.speedup(plain, seconds),
        "bound": ("matrix products", "memory")[bound],
        "share": rates[bound].share(amounts[bound], seconds),
    }


def _table(rows: Rows) -> "Table":
    caption = (
        "Ratio: how many times faster than the reference, the median over rounds. Share: of the "
        "rate of large matrix products (p) or of copying memory (m), whichever bounds the operator."
    )
    numbers = [heading for name in PASSES for heading in (f"{name}\nms", "ratio", "share")]
    table = command.table_of(caption, ("operator, stage", "by"), numbers)
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
