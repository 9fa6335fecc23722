"""What the benchmarks' commands have in common: checks of options, threads, screen and file.

rich is imported where something is shown: `make gpu` does without it.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fcmae.commands.benchmark import Rows
from fcmae.commands.command import Options
from fcmae.errors import check_target, unknown
from fcmae.report.record import write_rows
from fcmae.sizes import size_of

if TYPE_CHECKING:
    from rich.status import Status
    from rich.table import Table

COUNTS = ("batch_size", "batch_sizes", "images", "repeats", "steps", "threads")


def check(options: Options) -> None:
    """Refuse values that no benchmark can use, of whichever options it has.

    Models, precisions and a file to write to must be possible, and numbers of things at least one.
    """
    for name, given in options.as_dict().items():
        for value in given if isinstance(given, tuple) else (given,):
            if value is None:  # stands for a default
                continue
            if name in ("model", "models"):
                size_of(value)
            elif name in ("precision", "precisions") and value not in ("fp32", "bf16"):
                raise unknown("precision", value, ("fp32", "bf16"))
            elif name in COUNTS and value < 1:
                raise ValueError(f"{name}: {value} is less than 1")
            elif name == "json":
                check_target("json", Path(value))


def check_patches(name: str, *values: int) -> None:
    """Refuse sizes of images, in pixels, that do not consist of whole patches."""
    for value in values:
        if value < 32 or value % 32:
            below = max(value // 32, 1) * 32
            raise ValueError(
                f"{name}: {value} is not a multiple of 32 pixels, the patch size: "
                f"try {below} or {below + 32}"
            )


@contextlib.contextmanager
def use_threads(number: int | None) -> Iterator[None]:
    """Compute with `number` processor threads meanwhile; None: as many as before."""
    usual = torch.get_num_threads()
    torch.set_num_threads(number or usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def progress() -> "Status":
    """A line on the screen that its `update` changes, gone at the end."""
    from rich.console import Console

    return Console(stderr=True).status("")


def table_of(caption: str, names: Sequence[str], numbers: Sequence[str]) -> "Table":
    """An empty table for the screen: columns of names, then of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left", padding=(0, 1, 0, 0))
    for heading in names:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def ratio_cell(ratio: float, span: Sequence[float]) -> str:
    """A ratio with its lowest and highest: `1.25x (1.20 to 1.31)`."""
    return f"{ratio:.2f}x ({span[0]:.2f} to {span[1]:.2f})"


def show_and_write(
    heading: str, table: "Table", run: Mapping[str, Any], rows: Rows, json: str | Path | None
) -> None:
    """Show the table of the rows; write them with what the run has, where a file is wanted."""
    from rich.console import Console

    screen = Console()
    screen.print(heading)
    screen.print(table)
    if json is not None:
        write_rows(Path(json), run, rows)
