"""Figure 1 of the appendix: throughput and memory of pre-training by size, dense and tiled."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcmae.benchmarks.options import check_counts, check_run, use_threads
from fcmae.sizes import is_v2, list_models

if TYPE_CHECKING:
    from fcmae.findings.figures import Panel

STEPS = 20  # appendix C, figure 1
BATCH_SIZE = 64  # on each GPU, likewise
ON_A_PROCESSOR = 4
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


def sparse_efficiency(
    *,
    models: tuple[str, ...] = (),
    batch_size: int | None = None,
    precision: str | None = None,
    device: str = "auto",
    steps: int = STEPS,
    threads: int | None = None,
    out: Path = Path("runs/sparse-efficiency"),
) -> list[dict[str, Any]]:
    """Throughput and memory of pre-training steps by size, drawn as the paper's figure 1.

    Masked, dense and tiled steps take turns. A size that does not fit in memory is a row that says
    so, and one whose tiled and masked steps do not agree is shown and said to be not right. What
    was measured is kept, and a second call goes on.

    Args:
        models: names of `fcmae.list_models()`. None given: every size of V2.
        batch_size: images a step. Default: the paper's 64 on CUDA, 4 elsewhere.
        precision: fp32 or bf16. Default: bf16 where CUDA multiplies it, else fp32; the paper's was
            fp32.
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        steps: forward and backward steps of each mode; medians are taken over them.
        threads: processor threads; None: as many as PyTorch takes by itself.
        out: folder of results.json, results.csv, figure.png, figure.svg and page.html.

    Returns:
        One row a size, as in results.json: times in seconds, memory in bytes.

    Raises:
        ValueError: if an argument cannot be used.
        RuntimeError: if tiled and masked steps of a size do not agree; all were shown and written.
    """
    check_counts("steps", steps)
    check_counts("batch_size", batch_size)
    check_run(models, (precision,) if precision else (), repeats=steps, threads=threads)

    from rich.console import Console

    from fcmae.benchmarks.pretraining.agreement import require_agreement
    from fcmae.benchmarks.pretraining.measurement import Settings
    from fcmae.benchmarks.pretraining.screen import table_of
    from fcmae.benchmarks.pretraining.sweeps import run_cases
    from fcmae.benchmarks.pretraining.workload import CASE, Case
    from fcmae.findings.machine import describe_run
    from fcmae.findings.record import Record, say_written
    from fcmae.training.devices import choose_device, choose_precision

    where = choose_device(device)
    batch = batch_size or (BATCH_SIZE if where.type == "cuda" else ON_A_PROCESSOR)
    names = models or tuple(model for model in list_models() if is_v2(model))
    number = precision or choose_precision("auto", where)
    cases = [Case(model, 224, batch, 0.6, number) for model in names]
    settings = Settings(steps, ("dense", "masked", "tiled"), update=False)
    screen = Console()
    with use_threads(threads):
        run = {**describe_run(where), "settings": {**asdict(settings), "study": "figure 1"}}
        rows = run_cases(cases, where, settings, Record(out, run, CASE))
    screen.print(run["machine"])
    screen.print(table_of(rows))
    say_written(write_figure(out, rows, run))
    require_agreement(rows)
    return rows


def write_figure(out: Path, rows: Sequence[dict[str, Any]], run: Mapping[str, Any]) -> Path:
    """Write `figure.png`, `figure.svg` and `page.html`; return the path of the last."""
    from fcmae.benchmarks.pretraining.sweep_page import table
    from fcmae.findings.figures import draw
    from fcmae.findings.page import Finding, write_finding

    finding = Finding(
        kind="The paper’s figure 1, measured again",
        title="Sparse encoding efficiency",
        shows=[*says(rows), PAPER],
        figure=draw([panels(rows)], bars=True),
        alternative="throughput and memory by size, masked against tiled, as in the table",
        reading=READING,
        table=table(rows),
    )
    return write_finding(out, finding, run)


def panels(rows: Sequence[dict[str, Any]]) -> "list[Panel]":
    """Throughput and memory by size, masked beside tiled; sizes that did not fit are left out."""
    from fcmae.findings.figures import Panel, Series

    rows = [row for row in rows if "error" not in row]
    sizes = tuple(row["model"].partition("_")[2] for row in rows)
    labels = {"masked": "dense, masked (the paper’s counterpart)", "tiled": "tiled (ours)"}
    speed = [
        Series(mode, label, tuple(row["images_per_second"][mode] for row in rows))
        for mode, label in labels.items()
    ]
    memory = [
        Series(mode, label, tuple(_gigabytes(row, mode) for row in rows))
        for mode, label in labels.items()
    ]
    return [
        Panel("training throughput (images/s)", "size of the model", sizes, tuple(speed)),
        Panel("most memory held (GB)", "size of the model", sizes, tuple(memory)),
    ]


def says(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Averages over the sizes, as the paper gives them; which are not right, or not among them."""
    from fcmae.benchmarks.pretraining.agreement import objection

    good = [row for row in rows if "error" not in row]
    sentences = []
    if good:
        faster = [row["speedup"]["tiled / masked"] for row in good]
        sentence = f"Here: {_mean(faster):.2f} times the images a second"
        if all(row["memory"] for row in good):
            less = [total(row, "masked") / total(row, "tiled") for row in good]
            sentence += f" and {_mean(less):.2f} times less memory"
        names = ", ".join(row["model"].partition("_")[2] for row in good)
        sentences.append(
            f"{sentence}, averaged over {names}; batch {good[0]['batch_size']}, "
            f"{good[0]['precision']}."
        )
    for row in rows:
        if wrong := objection(row):
            sentences.append(f"{row['model'].partition('_')[2]}: {wrong}.")
    if large := [row["model"].partition("_")[2] for row in rows if "error" in row]:
        sentences.append(f"Not measured, for lack of memory: {', '.join(large)}.")
    return sentences


def total(row: Mapping[str, Any], mode: str) -> int:
    """Bytes held at the peak of a step, all in all."""
    held, peak = int(row["held"]), int(row["memory"][mode])
    return held + peak


def _gigabytes(row: Mapping[str, Any], mode: str) -> float | None:
    return total(row, mode) / GIGABYTE if row["memory"] else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
