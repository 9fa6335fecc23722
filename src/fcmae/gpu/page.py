"""What a GPU showed, as sections: the page beside the JSON file; docs/reproduce.md has them too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcmae.findings.page import Page, Section, Table
from fcmae.findings.page import write_page as write
from fcmae.gpu.cells import Row, cells
from fcmae.gpu.columns import PARTS
from fcmae.gpu.figure import draw_figure_1
from fcmae.gpu.sentences import sentences


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
    words = PARTS[name]
    if rows and all("left_out" in row for row in rows):
        return Section(words.title, [*words.paragraphs, f"Left out: {rows[0]['left_out']}."])
    heading = [title for title, _ in words.columns]
    table = Table(heading, [cells(row, words.columns) for row in worth_showing(name, rows)])
    drawn = draw_figure_1(rows) if name == "figure 1" else None
    alternative = "images a second and memory by size, as in the table" if drawn else ""
    return Section(words.title, words.paragraphs, drawn, alternative, table)


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
