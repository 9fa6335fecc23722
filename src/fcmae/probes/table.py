"""The probes' table on the screen."""

import statistics
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table


def table_of(result: dict[str, Any]) -> Table:
    """Three rows for each label share, and a column or two for each probe, in per cent."""
    by_share: dict[float, list[dict[str, Any]]] = {}
    for column in result["columns"]:
        by_share.setdefault(column["label_share"], []).append(column)
    kinds = ["top_1", "top_5"] if len(result["classes"]) > 5 else ["top_1"]
    caption = f"In per cent of {result['val_images']} images"
    if result["seeds"] > 1:
        caption += f"; ± one deviation, of {result['seeds']} seeds"
    caption += f". Chance: always the most frequent class{', or the five' * (len(kinds) - 1)}."
    caption += " Beyond the spread: by more than two deviations, of seeds and of images together."
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left")
    table.add_column("features")
    probes = next(iter(by_share.values()))
    for column in probes:
        name = "linear probe" if column["k"] is None else f"kNN {column['k']}"
        for kind in kinds:
            table.add_column(f"{name}\n{kind.replace('_', '-')}", justify="right")
    for share, columns in by_share.items():
        if len(by_share) > 1:
            table.add_row(f"{100 * share:g} % of labels", style="bold")
        for row in columns[0]["top_1"]:
            cells = [_percent(column[kind][row]) for column in columns for kind in kinds]
            table.add_row(row, *cells)
        table.add_section()
    table.add_row("chance", *[_percent([result["chance"][kind]]) for kind in kinds] * len(probes))
    return table


def _percent(values: Sequence[float]) -> str:
    mean = f"{100 * statistics.mean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean
