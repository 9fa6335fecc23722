"""The benchmark's rows on the screen."""

import textwrap
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from fcmae.benchmarks.pretraining.agreement import objection

WIDTH = 16  # of what is said of a row that is not right: as wide as its column is anyway


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    """A line for each mode of a row, narrow enough for 80 columns."""
    caption = (
        "Speed: ratio of images/s, the median over rounds. Memory: peak of a step above weights, "
        "optimiser and images, 1 MB = 10^6 bytes. Of the matrix-product rate: the arithmetic that "
        "a step needs, per second, against plain products of large matrices in the same rounds."
    )
    if any(row.get("memory", {}) is None for row in rows):
        caption += " Memory can be measured on CUDA, and on Linux with glibc; not here."
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left", padding=(0, 1, 0, 0))
    table.add_column("step")
    table.add_column("mode")
    for heading in (
        "images/s",
        "tiled is\nfaster by",
        "memory\nMB",
        "memory /\nmasked",
        "of matrix-\nproduct rate",
    ):
        table.add_column(heading, justify="right")
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
