"""`page.html` of a measurement: what it shows, the figure, the table, how it was measured.

One file that opens anywhere, without a network; it has no script.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcmae.checkpoint import write_text
from fcmae.report.units import cell


@dataclass(frozen=True, slots=True)
class Page:
    """What is on it."""

    kind: str
    title: str
    shows: Sequence[str]  # what the figure says, first the most important
    figure: bytes  # SVG
    alternative: str  # what a screen reader says in place of the figure
    heading: Sequence[str]  # of the table
    rows: Sequence[Sequence[str]]
    reading: Sequence[str]  # paragraphs on how the figures are to be read


def write_page(path: Path, page: Page, run: Mapping[str, Any]) -> None:
    """Write the page.

    Args:
        path: the file.
        page: its contents.
        run: machine, versions, settings, command and date.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    places = ("fcmae.benchmarks", "fcmae.report")  # the style sheet is the reports'
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(place, package_path="") for place in places]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    image = "data:image/svg+xml;base64," + base64.b64encode(page.figure).decode()
    facts = [(name, cell(run[name])) for name in ("versions", "settings", "date")]
    template = environment.get_template("measurement.html")
    write_text(path, template.render(page=page, image=image, run=run, facts=facts))
