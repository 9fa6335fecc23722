"""What a GPU showed, in sentences, tables and a figure: the page beside the JSON file.

docs/reproduce.md has them too.
"""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fcmae.benchmarks.sparse_efficiency import bar_chart
from fcmae.console.units import percent, plural
from fcmae.report.charts import Chart
from fcmae.report.findings import Page, Section, Table
from fcmae.report.findings import write_page as write
from gpu.columns import PARTS, Row, cells, short


def write_page(path: Path, record: Row) -> Path:
    """Write the page of a record, finished or not."""
    page = Page(
        kind="Rehearsal: not a measurement" if record.get("rehearsal") else "What a GPU shows",
        title=str(record["machine"]).partition(",")[0],
        shows=sentences(record),
        sections=sections(record),
        files=f"{path.stem}.json beside this page",
    )
    run = {name: value for name, value in record.items() if name != "parts"}
    return write(path, page, run)


def one_line(name: str, row: Row) -> str:
    """A row of a part on one line, for a screen."""
    columns = PARTS[name].columns
    headings = ["", *(heading for heading, _ in columns[1:])]
    (said, *_) = [*worth_showing(name, [row]), row]
    shown = zip(headings, cells(said, columns), strict=False)
    return "  ".join(f"{heading} {cell}".strip() for heading, cell in shown if cell != "–")


def sections(record: Row) -> list[Section]:
    """One for each part that has begun, in order."""
    return [_section(part["name"], part["rows"]) for part in record["parts"]]


def _section(name: str, rows: list[Row]) -> Section:
    part = PARTS[name]
    if rows and all("left_out" in row for row in rows):
        return Section(part.title, [*part.paragraphs, f"Left out: {rows[0]['left_out']}."])
    heading = [title for title, _ in part.columns]
    table = Table(heading, [cells(row, part.columns) for row in worth_showing(name, rows)])
    drawn = figure_1_chart(rows) if name == "figure 1" else None
    alternative = "images a second and memory by size, as in the table" if drawn else ""
    return Section(part.title, part.paragraphs, drawn, alternative, table)


def worth_showing(name: str, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of a part that are worth a line in a table."""
    match name:
        case "figure 1":
            return _by_size(rows)
        case "kernels agree":
            return _worst(rows)
        case "variants":  # of each kernel the winner, and what failed
            return [row for row in rows if "winner" in row or "error" in row or "left_out" in row]
        case _:
            return rows


def _by_size(rows: Sequence[Row]) -> list[Row]:
    """One row for each size and precision, with those of its modes; and what failed beside them."""
    sizes: dict[tuple[str, str], dict[str, Any]] = {}
    others: list[Row] = []
    for row in rows:
        if row.get("mode") in ("tiled", "masked"):
            size = sizes.setdefault((row["model"], row["precision"]), {"model": row["model"]})
            size |= {"precision": row["precision"], row["mode"]: row}
        elif row.get("agrees") is not True:
            others.append(row)
    return [*sizes.values(), *others]


def _worst(rows: Sequence[Row]) -> list[Row]:
    """Of each stage and precision the value that differs most, with how many agree."""
    found: dict[tuple[int, str], list[Row]] = {}
    others = [row for row in rows if "agrees" not in row]
    for row in rows:
        if "agrees" in row:
            found.setdefault((row["channels"], row["precision"]), []).append(row)
    worst = []
    for group in found.values():
        row = max(group, key=lambda one: (not one["agrees"], float(one["difference"])))
        worst.append({**row, "of": len(group), "good": sum(one["agrees"] for one in group)})
    return [*worst, *others]


def figure_1_chart(rows: Sequence[Row]) -> Chart | None:
    """Figure 1 as bars, where something was measured."""
    found = {
        (short(row), row["mode"]): row
        for row in rows
        if "images_per_second" in row and row.get("precision", "bf16") == "bf16"
    }
    if not found:
        return None
    sizes = list(dict.fromkeys(size for size, _ in found))

    def by_mode(value: Callable[[Row], float]) -> dict[str, list[float | None]]:
        return {
            mode: [value(row) if (row := found.get((size, mode))) else None for size in sizes]
            for mode in ("masked", "tiled")
        }

    speed = by_mode(lambda row: row["images_per_second"])
    return bar_chart(sizes, speed, by_mode(lambda row: row["held"] + row["memory"]))


def sentences(record: Row) -> list[str]:
    """What matters most."""
    parts = {part["name"]: part["rows"] for part in record["parts"]}
    found = []
    wrong = [row for rows in parts.values() for row in rows if is_failed(row)]
    if wrong:
        found.append(f"{plural(len(wrong), 'row')} failed or disagreed, as marked below.")
    found += _of_figure_1(parts.get("figure 1", ()))
    found += _of_host(parts.get("whole steps", ()))
    found += _of_graphs(parts.get("graph", ()))
    checked = [row for row in parts.get("kernels agree", ()) if "agrees" in row]
    if checked:
        good = sum(row["agrees"] for row in checked)
        found.append(
            f"{good} of {len(checked)} results and gradients of the kernels are those of the "
            "definition in float64."
        )
    return found


def is_failed(row: Row) -> bool:
    """Whether a row failed or disagreed; one that was left out did neither."""
    return "error" in row or row.get("agrees") is False


def _of_figure_1(rows: Sequence[Row]) -> list[str]:
    found = [row for row in rows if "speedup" in row and row["precision"] == "bf16"]
    if not found:
        return []
    faster = [row["speedup"] for row in found]
    share = [row["memory_ratio"] for row in found]
    slower = sum(value < 1 for value in faster)
    return [
        "At batch 64 in bf16, tiled steps that are started kernel by kernel are "
        f"{min(faster):.2f} to {max(faster):.2f} times as fast as masked ones (median "
        f"{statistics.median(faster):.2f}), slower at {slower} of {plural(len(found), 'size')} of "
        f"V2, and hold {min(share):.2f} to {max(share):.2f} of the memory. The paper’s figure 1, "
        "on another GPU and in fp32, has 1.3 times and a half on average."
    ]


def _of_host(rows: Sequence[Row]) -> list[str]:
    """At which batches the device waits for its host, by the largest model."""
    found = [row for row in rows if "device_seconds" in row]
    if not found:
        return []
    model = found[-1]["model"]
    shares = [
        f"{percent(min(row['device_seconds'] / row['step_seconds'], 1))} at batch "
        f"{row['batch_size']}"
        for row in found
        if row["model"] == model
    ]
    return [
        f"Of a whole tiled step of {short(found[-1])}, started kernel by kernel, the device works "
        f"{', '.join(shares)}; the rest of the time it waits for its host."
    ]


def _of_graphs(rows: Sequence[Row]) -> list[str]:
    found = [row["speedup"]["graph / eager"] for row in rows if "speedup" in row]
    if not found:
        return []
    return [
        f"Captured as a CUDA graph, the same step is {min(found):.2f} to {max(found):.2f} times as "
        "fast, which is what there is to be gained from a host that is not in the way."
    ]
