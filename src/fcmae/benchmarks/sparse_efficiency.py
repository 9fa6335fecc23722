"""Figure 1 of the appendix: throughput and memory of pre-training by size, dense and tiled."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcmae.benchmarks import command
from fcmae.benchmarks.pretraining.cases import measure_cases
from fcmae.benchmarks.pretraining.measurement import Settings
from fcmae.benchmarks.pretraining.pages import rows_table, table_on_screen
from fcmae.benchmarks.pretraining.workload import CASE, Case, objection, require_agreement
from fcmae.commands.benchmark import Rows, SparseEfficiency
from fcmae.report.charts import Chart, Panel, Series
from fcmae.report.findings import Finding, write_finding
from fcmae.report.record import Record, describe_run, say_written
from fcmae.sizes import is_v2, list_models
from fcmae.training.devices import choose_device, choose_precision

BATCH_SIZE = 64  # on each GPU: appendix C, figure 1
ON_A_PROCESSOR = 4
LABELS = {"masked": "dense, masked (the paper’s counterpart)", "tiled": "tiled (ours)"}
PAPER_THROUGHPUT, PAPER_MEMORY = 1.3, 2.0  # times as fast, times less: averages over the models
GIGABYTE = 1e9
PAPER = (
    f"The paper’s own numbers, on an RTX A6000 with Minkowski Engine: {PAPER_THROUGHPUT} times the "
    f"images a second and {PAPER_MEMORY:g} times less memory, averaged over the models; the gap "
    "grows with the model."
)
READING = (
    "224 pixels, mask ratio 0.6, patches of 32 pixels. A step is forward and backward, without the "
    "optimiser’s update, as in the paper. Masked is the paper’s dense counterpart: dense maps with "
    "what is hidden set to zero before and after each convolution. Tiled is ours: visible tiles "
    "alone.",
    "Memory in the figure is all that a step holds at its peak: weights, images, gradients and "
    "activations; in the table, what it holds above weights and images.",
)


def run_sparse_efficiency(options: SparseEfficiency) -> Rows:
    """Measure every size; show, draw and write the rows."""
    command.check(options)
    device, out = choose_device(options.device), Path(options.out)
    batch = options.batch_size or (BATCH_SIZE if device.type == "cuda" else ON_A_PROCESSOR)
    models = options.models or tuple(model for model in list_models() if is_v2(model))
    precision = options.precision or choose_precision("auto", device)
    cases = [Case(model, 224, batch, 0.6, precision) for model in models]
    settings = Settings(options.steps, ("dense", "masked", "tiled"), update=False)
    with command.use_threads(options.threads):
        described = {
            **describe_run(device),
            "settings": {**asdict(settings), "study": "figure 1"},
        }
        rows = measure_cases(cases, device, settings, Record(out, described, CASE))
    command.show_and_write(str(described["machine"]), table_on_screen(rows), described, rows, None)
    finding = Finding(
        kind="The paper’s figure 1, measured again",
        title="Sparse encoding efficiency",
        shows=[*sentences(rows), PAPER],
        figure=chart_of(rows),
        alternative="throughput and memory by size, masked against tiled, as in the table",
        reading=READING,
        table=rows_table(rows),
    )
    say_written(write_finding(out, finding, described))
    require_agreement(rows)
    return rows


def sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Averages over the sizes, as the paper gives them; which are not right, or not among them."""
    good = [row for row in rows if "error" not in row]
    found = []
    if good:
        faster = [row["speedup"]["tiled / masked"] for row in good]
        sentence = f"Here: {_mean(faster):.2f} times the images a second"
        if all(row["memory"] for row in good):
            less = [total(row, "masked") / total(row, "tiled") for row in good]
            sentence += f" and {_mean(less):.2f} times less memory"
        found.append(
            f"{sentence}, averaged over {', '.join(map(_size, good))}; batch "
            f"{good[0]['batch_size']}, {good[0]['precision']}."
        )
    found += [f"{_size(row)}: {wrong}." for row in rows if (wrong := objection(row))]
    if large := [_size(row) for row in rows if "error" in row]:
        found.append(f"Not measured, for lack of memory: {', '.join(large)}.")
    return found


def chart_of(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Throughput and memory by size, masked beside tiled; sizes that did not fit are left out."""
    rows = [row for row in rows if "error" not in row]
    speed = {mode: [row["images_per_second"][mode] for row in rows] for mode in LABELS}
    memory = {
        mode: [total(row, mode) if row["memory"] else None for row in rows] for mode in LABELS
    }
    return bar_chart([_size(row) for row in rows], speed, memory)


def bar_chart(
    sizes: Sequence[str],
    speed: Mapping[str, Sequence[float | None]],
    memory: Mapping[str, Sequence[float | None]],
) -> Chart:
    """Figure 1 as bars: images a second, and bytes held at the peak, of each mode by size."""
    held = {
        mode: [None if value is None else value / GIGABYTE for value in values]
        for mode, values in memory.items()
    }
    panels = [
        Panel(
            title,
            "size of the model",
            tuple(sizes),
            tuple(Series(mode, label, tuple(values[mode])) for mode, label in LABELS.items()),
        )
        for title, values in (
            ("training throughput (images/s)", speed),
            ("most memory held (GB)", held),
        )
    ]
    return Chart([panels], bars=True)


def total(row: Mapping[str, Any], mode: str) -> int:
    """Bytes held at the peak of a step, all in all."""
    held, peak = int(row["held"]), int(row["memory"][mode])
    return held + peak


def _size(row: Mapping[str, Any]) -> str:
    return str(row["model"]).partition("_")[2]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
