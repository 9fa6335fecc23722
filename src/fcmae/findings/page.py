"""`page.html` of findings: what they say, figures, tables, and how to have them again.

One file that opens anywhere, without a network; it has no script.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcmae.console.units import cell
from fcmae.findings.figures import save
from fcmae.storage.atomic import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOLD_APART = ("machine", "command")  # of a run: not among the facts, since they are shown by name


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
    figure: bytes | None = None  # SVG or PNG
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
    figure: "Figure"
    alternative: str
    reading: Sequence[str]  # paragraphs on how the figure is to be read
    table: Table


def write_finding(folder: Path, finding: Finding, run: Mapping[str, Any]) -> Path:
    """Write `figure.png`, `figure.svg` and `page.html`; return the path of the last.

    Args:
        folder: is there.
        finding: what they show.
        run: machine, versions, settings, command and date.
    """
    drawn = save(finding.figure, folder)
    sections = (
        Section("Figure", finding.reading, drawn, finding.alternative),
        Section("Table", table=finding.table),
    )
    page = Page(finding.kind, finding.title, finding.shows, sections)
    return write_page(folder / "page.html", page, run)


def write_page(path: Path, page: Page, run: Mapping[str, Any]) -> Path:
    """Write the page; return its path.

    Args:
        path: the file.
        page: its contents.
        run: machine and command; whatever else there is stands under "Running it again".
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    places = ("fcmae.findings", "fcmae.report")  # the head and the style sheet are the reports'
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(place, package_path="") for place in places]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = _embedded
    facts = [(name, cell(value)) for name, value in run.items() if name not in TOLD_APART]
    template = environment.get_template("page.html")
    write_text(path, template.render(page=page, run=run, facts=facts))
    return path


def _embedded(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
