"""What a GPU showed, in docs/reproduce.md: `python -m fcmae.gpu.reproduce FOLDER PAGE` fills it in.

Between two marks of the page stands what the JSON files of the folder say, and nothing else; beside
each file it draws figure 1.
"""

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from fcmae.findings.page import Section
from fcmae.gpu.page import NOT_RUN, Row, figure_1, says, sections

BEGIN = "<!-- from benchmarks/results/gpu-*.json: `make docs` writes it again, a test compares -->"
END = "<!-- to here -->"
# Long, and of interest only where something is wrong; the page in HTML has them.
LONGEST = 8  # kernels and functions of a profile
WIDTH = 105  # letters of a line of prose
LEFT_OUT = ("Kernels against the definition", "Registers of the kernels")


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
    """The records of a folder, by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("gpu-*.json"))}


def _markdown(name: str, record: Row) -> str:
    versions = record["versions"]
    measured = f"{record['machine']}; torch {versions['torch']}"
    measured += f", triton {versions['triton']}" if "triton" in versions else ""
    parts = [f"{measured}; {record['date'][:10]}, commit {record['commit']}."]
    parts.append("\n".join(f"- {sentence}" for sentence in says(record)))
    for one in sections(_shortened(record)):
        if one.title not in LEFT_OUT:
            parts.append(_section(one))
        if one.figure is not None:
            parts.append(f"![{one.alternative}](../benchmarks/results/{name}.png)")
    return "\n\n".join(parts)


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


if __name__ == "__main__":
    folder, page = map(Path, sys.argv[1:])
    records = records_of(folder)
    for name, record in records.items():
        rows = [
            row for part in record["parts"] if part["name"] == "figure 1" for row in part["rows"]
        ]
        if (picture := figure_1(rows, "png")) is not None:
            (folder / f"{name}.png").write_bytes(picture)
    page.write_text(filled(page.read_text(), records))
