"""The rows of the benchmark: on the screen, and a sweep's figure and page."""

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcmae.benchmarks.command import table_of
from fcmae.benchmarks.pretraining.workload import CASE, objection
from fcmae.commands.benchmark import Sweep
from fcmae.report.charts import Chart, Panel, Series
from fcmae.report.findings import Finding, Table, write_finding

if TYPE_CHECKING:
    from rich.table import Table as TableOnScreen

Row = dict[str, Any]
WIDTH = 16  # of what the screen says of a row that is not right: as wide as its column is anyway

# The field of a case that a sweep varies, and what it is called.
FIELDS: Mapping[Sweep, tuple[str, str]] = {
    "mask-ratio": ("mask_ratio", "mask ratio"),
    "image-size": ("image_size", "image size (pixels a side)"),
    "batch": ("batch_size", "batch size"),
    "size": ("model", "size of the model"),
}
READING = (
    "A step is forward, backward and AdamW. Dense computes every site and hides nothing from the "
    "encoder; masked computes every site and hides what is masked; tiled computes visible sites "
    "alone; timm trains its classifier of the same name on the same images.",
    "The dotted line is how fast tiled would be if its time were to dense’s time as its "
    "multiply-adds are to dense’s: encoder at visible sites, decoder at all of them. Memory is the "
    "peak of a step above weights, optimiser and images.",
)


def table_on_screen(rows: Sequence[Row]) -> "TableOnScreen":
    """A line for each mode of a row, narrow enough for 80 columns."""
    caption = (
        "Speed: ratio of images/s, the median over rounds. Memory: peak of a step above weights, "
        "optimiser and images, 1 MB = 10^6 bytes. Of the matrix-product rate: the arithmetic that "
        "a step needs, per second, against plain products of large matrices in the same rounds."
    )
    if any(row.get("memory", {}) is None for row in rows):
        caption += " Memory can be measured on CUDA, and on Linux with glibc; not here."
    numbers = ("images/s", "tiled is\nfaster by", "memory\nMB", "memory /\nmasked")
    table = table_of(caption, ("step", "mode"), (*numbers, "of matrix-\nproduct rate"))
    for row in rows:
        table.add_row(*("\n".join(lines) for lines in _columns(row)))
        table.add_section()
    return table


def _columns(row: dict[str, Any]) -> list[list[str]]:
    case = [
        row["model"],
        f"{row['image_size']} px, batch {row['batch_size']}",
        f"mask {row['mask_ratio']:g}, {row['precision']}",
    ]
    if "error" in row:
        return [[*case, row["error"]]]
    case += textwrap.wrap(objection(row) or "", WIDTH)
    modes = list(row["images_per_second"])
    memory = row["memory"] or {}
    return [
        case,
        modes,
        [f"{row['images_per_second'][mode]:.1f}" for mode in modes],
        [_times(row["speedup"].get(f"tiled / {mode}")) for mode in modes],
        [f"{memory[mode] / 1e6:.0f}" if memory else "-" for mode in modes],
        [f"{memory[mode] / memory['masked']:.2f}" if memory else "-" for mode in modes],
        [f"{row['of_matrix_products'][mode]:.0%}" for mode in modes],
    ]


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def write_sweep(folder: Path, sweep: Sweep, rows: Sequence[Row], run: Mapping[str, Any]) -> Path:
    """Write `figure.png`, `figure.svg` and `page.html`; return the path of the last.

    Args:
        folder: is there.
        sweep: what was varied.
        rows: of the benchmark, also those that did not fit.
        run: machine, versions, settings, command and date.
    """
    groups = list(grouped(rows, FIELDS[sweep][0]))
    finding = Finding(
        kind="Cost of a pre-training step",
        title=f"Speed and memory over the {FIELDS[sweep][1].partition(' (')[0]}",
        shows=[sentence for name, group in groups for sentence in sentences(name, group, sweep)],
        figure=Chart([panels_of(group, sweep) for _, group in groups]),
        alternative=f"images a second and memory over the {FIELDS[sweep][1]}, as in the table",
        reading=READING,
        table=rows_table(rows),
    )
    return write_finding(folder, finding, run)


def grouped(rows: Sequence[Row], field: str) -> Iterator[tuple[str, list[Row]]]:
    """The rows that differ in `field` alone, ascending, with words for what they share."""
    others = [name for name in CASE if name != field]

    def shared(row: Row) -> str:
        return ", ".join(_words(name, row[name]) for name in others)

    for name, group in itertools.groupby(sorted(rows, key=shared), key=shared):
        ordered = list(group)
        if field != "model":
            ordered.sort(key=lambda row: row[field])
        yield name, ordered


def panels_of(rows: Sequence[Row], sweep: Sweep) -> list[Panel]:
    """Images a second, and memory."""
    field, across = FIELDS[sweep]
    places = tuple(_short(row[field]) for row in rows)
    speed, memory = [], []
    for mode in modes_of(rows):
        rates = [None if "error" in row else row["images_per_second"][mode] for row in rows]
        speed.append(Series(mode, mode, tuple(rates)))
        peaks = [row["memory"][mode] / 1e6 if row.get("memory") else None for row in rows]
        memory.append(Series(mode, mode, tuple(peaks)))
    limit = tuple(
        None if "error" in row else row["images_per_second"]["dense"] * row["arithmetic_limit"]
        for row in rows
    )
    speed.append(Series("limit", "dense × what arithmetic saves", limit))
    name = next(name for name, _ in grouped(rows[:1], field))
    return [
        Panel(f"images/s: {name}", across, places, tuple(speed)),
        Panel("memory of a step (MB)", across, places, tuple(memory)),
    ]


def sentences(name: str, rows: Sequence[Row], sweep: Sweep) -> list[str]:
    """What the rows show, in a few sentences; `name` is what they share."""
    field = FIELDS[sweep][0]
    good = [row for row in rows if "error" not in row]
    found = []
    if good:
        first, last = (_words(field, row[field]) for row in (good[0], good[-1]))
        over = f"from {first} to {last}" if len(good) > 1 else f"at {first}"
        found.append(
            f"{name}, {over}: tiled is {_range(good, 'dense')} as fast as dense, where arithmetic "
            f"allows {_span([row['arithmetic_limit'] for row in good])}; {_range(good, 'masked')} "
            f"as fast as masked, at {_memory_span(good)}."
        )
    found += [
        f"{name}, {_words(field, row[field])}: {wrong}."
        for row in good
        if (wrong := objection(row))
    ]
    large = [_words(field, row[field]) for row in rows if "error" in row]
    if large:
        found.append(f"{name}: not measured, for lack of memory: {', '.join(large)}.")
    return found


def rows_table(rows: Sequence[Row]) -> Table:
    """The rows with all that was measured."""
    modes = modes_of(rows)
    heading = [
        "step",
        *(f"images/s, {mode}" for mode in modes),
        *(f"tiled is faster than {mode}" for mode in modes if mode != "tiled"),
        "arithmetic allows over dense",
        *(f"MB, {mode}" for mode in modes),
        "tiled, of the matrix-product rate",
    ]
    return Table(heading, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    name = ", ".join(_words(field, row[field]) for field in CASE)
    if "error" in row:
        return [name, row["error"]]
    memory = row["memory"] or {}
    modes = list(row["images_per_second"])
    return [
        "; ".join(filter(None, (name, objection(row)))),
        *(f"{row['images_per_second'][mode]:.1f}" for mode in modes),
        *(
            f"{row['speedup'][pair]:.2f} ({low:.2f} to {high:.2f})"
            for pair, (low, high) in row["speedup_range"].items()
        ),
        f"{row['arithmetic_limit']:.2f}",
        *(f"{memory[mode] / 1e6:.0f}" if memory else "-" for mode in modes),
        f"{row['of_matrix_products']['tiled']:.0%}",
    ]


def modes_of(rows: Sequence[Row]) -> list[str]:
    """The modes that were measured; none where nothing fitted."""
    return next((list(row["images_per_second"]) for row in rows if "error" not in row), [])


def _range(rows: Sequence[Row], mode: str) -> str:
    return _span([row["speedup"][f"tiled / {mode}"] for row in rows])


def _span(values: Sequence[float]) -> str:
    low, high = (f"{value:.2f}" for value in (min(values), max(values)))
    return f"{low} times" if low == high else f"{low} to {high} times"


def _memory_span(rows: Sequence[Row]) -> str:
    shares = [row["memory_ratio"] for row in rows if row["memory_ratio"] is not None]
    return f"{_span(shares)} its memory" if shares else "a memory that cannot be measured here"


def _short(value: object) -> float | str:
    return str(value).partition("_")[2] if isinstance(value, str) else float(str(value))


def _words(field: str, value: object) -> str:
    forms = {"image_size": "{} px", "batch_size": "batch {}", "mask_ratio": "mask ratio {:g}"}
    return forms.get(field, "{}").format(value)
