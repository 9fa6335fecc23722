"""What a GPU showed, in docs/reproduce.md: `python -m gpu.reproduce FOLDER PAGE` fills it in.

Between two marks of the page stands what the JSON files of the folder say, and nothing else; beside
each file it draws figure 1.
"""

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from fcmae.console.units import duration
from fcmae.report.files import DOTS, draw_figure
from fcmae.report.findings import Section
from gpu.columns import Row
from gpu.page import figure_1_chart, sections, sentences

BEGIN = "<!-- from benchmarks/results/gpu-*.json: `make docs` writes it again, a test compares -->"
END = "<!-- to here -->"
NOT_RUN = "Not yet run on a GPU."
LONGEST = 8  # kernels and functions of a profile
WIDTH = 105  # letters of a line of prose
# Of interest only where something is wrong; the file has it.
LEFT_OUT = "Registers of the kernels"


def filled(text: str, records: Mapping[str, Row]) -> str:
    """A page with what the records say between its marks.

    Args:
        text: the page, which has both marks.
        records: of JSON files, by their names without suffix; none: nothing was run, it says.
    """
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, "the page has no marks"
    words = "\n\n".join(_markdown(*item) for item in records.items()) or NOT_RUN
    return f"{before}{BEGIN}\n\n{words}\n\n{END}{after}"


def records_of(folder: Path) -> dict[str, Row]:
    """The records of a folder, by the names of their files.

    Raises:
        ValueError: naming the file that is none.
    """
    records = {}
    for path in sorted(folder.glob("gpu-*.json")):
        try:
            records[path.stem] = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} is no record of make gpu: {error}") from error
    return records


def _markdown(name: str, record: Row) -> str:
    versions = record["versions"]
    measured = f"{record['machine']}; torch {versions['torch']}"
    measured += f", triton {versions['triton']}" if "triton" in versions else ""
    measured += f"; {record['date'][:10]}, commit {record['commit']}; "
    measured += f"{duration(record['seconds'])} of `{record['command']}`."
    parts = ["\n".join(textwrap.wrap(measured, WIDTH, break_on_hyphens=False))]
    parts.append("\n".join(_item(sentence) for sentence in sentences(record)))
    parts.append(f"All of it, the registers of each kernel too, is in `{name}.json`.")
    for one in sections(_shortened(record)):
        if one.title != LEFT_OUT:
            parts.append(_section(one))
        if one.figure is not None:
            parts.append(f"![{one.alternative}](../benchmarks/results/{name}.png)")
    return "\n\n".join(parts)


def _item(sentence: str) -> str:
    return textwrap.fill(sentence, WIDTH, initial_indent="- ", subsequent_indent="  ")


def _shortened(record: Row) -> Row:
    """With the longest of many functions alone; the page in HTML has more of them."""
    parts = [
        {**part, "rows": [row for row in part["rows"] if (row.get("rank") or 0) <= LONGEST]}
        for part in record["parts"]
    ]
    return {**record, "parts": parts}


def _section(section: Section) -> str:
    lines = [f"### {section.title}", ""]
    for paragraph in section.paragraphs:
        lines += [*textwrap.wrap(paragraph, WIDTH), ""]
    if section.table:
        heading = section.table.heading
        rows = [list(row) + [""] * (len(heading) - len(row)) for row in section.table.rows]
        table = [heading, ["---"] * len(heading), *rows]
        lines += [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in table]
    return "\n".join(lines).rstrip()


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def main(folder: Path, page: Path) -> None:
    """Write the page anew, and beside each record figure 1."""
    records = records_of(folder)
    for name, record in records.items():
        rows = {part["name"]: part["rows"] for part in record["parts"]}.get("figure 1", [])
        if (chart := figure_1_chart(rows)) is not None:
            draw_figure(chart).savefig(folder / f"{name}.png", dpi=DOTS)
    page.write_text(filled(page.read_text(), records))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
