"""`page.html` of findings: what they say, figures, tables, and how to have them again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fcmae.console.units import cell
from fcmae.report.charts import Chart
from fcmae.report.files import save
from fcmae.report.page import render
from fcmae.storage.atomic import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_BY_NAME = ("machine", "command")  # of a run: not among the facts at the end of the page


@dataclass(frozen=True, slots=True)
class Table:
    """Rows may be shorter than the heading."""

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]  # the first cell of each is its name
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Paragraphs, a figure and a table, in this order; each may be missing."""

    title: str
    paragraphs: Sequence[str] = ()
    figure: Chart | bytes | None = None  # a picture is SVG or PNG
    alternative: str = ""  # what a screen reader says in place of the figure
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What is on it."""

    kind: str
    title: str
    shows: Sequence[str]  # what was found, in sentences, first the most important
    sections: Sequence[Section]
    files: str = "results.json beside this page, and as a table in results.csv"  # the numbers


@dataclass(frozen=True, slots=True)
class Finding:
    """A page with one figure and the table of its numbers."""

    kind: str
    title: str
    shows: Sequence[str]
    figure: "Chart | Figure"
    alternative: str
    reading: Sequence[str]  # paragraphs on how the figure is to be read
    table: Table


def write_finding(
    folder: Path, finding: Finding, run: Mapping[str, object], more: Sequence[Section] = ()
) -> Path:
    """Write `figure.png`, `figure.svg` and `page.html`; return the path of the last.

    Args:
        folder: is there.
        finding: what they show; a chart is drawn into the page, any other figure embedded.
        run: machine, versions, settings, command and date.
        more: what stands under the table.
    """
    saved = save(finding.figure, folder)
    figure = finding.figure if isinstance(finding.figure, Chart) else saved
    sections = (
        Section("Figure", finding.reading, figure, finding.alternative),
        Section("Table", table=finding.table),
        *more,
    )
    page = Page(finding.kind, finding.title, finding.shows, sections)
    return write_page(folder / "page.html", page, run)


def write_page(path: Path, page: Page, run: Mapping[str, object]) -> Path:
    """Write the page; return its path.

    Args:
        path: the file.
        page: its contents.
        run: machine and command; whatever else there is stands under "Running it again".
    """
    facts = [(name, cell(value)) for name, value in run.items() if name not in SHOWN_BY_NAME]
    write_text(path, render("report/findings.html", {"page": page, "run": run, "facts": facts}))
    return path
