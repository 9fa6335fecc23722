"""What a run says while it runs."""

from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

NAMES = 13  # columns for names

console = Console(stderr=True, highlight=False, emoji=False)


def say(text: str) -> None:
    """One line."""
    console.print(text, markup=False, soft_wrap=True)


def show_details(details: Iterable[tuple[str, str]]) -> None:
    """Names and values."""
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    rows.add_column(min_width=NAMES)
    rows.add_column(overflow="fold")  # a long path is shown whole
    for name, value in details:
        rows.add_row(Text(name, style="dim"), Text(value))
    console.print(rows)


def shown(value: object) -> str:
    """A value as one would write it."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(shown(item) for item in value)
    return str(value)


def progress_bar(*, shown: bool = True) -> Progress:
    """Steps done, loss, images a second and time left; hidden where no one watches."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
        transient=True,
    )
