"""What a GPU showed, in docs/reproduce.md: `python -m fcmae.gpu.reproduce FOLDER PAGE` fills it in.

Between two marks of the page stands what the JSON files of the folder say, and nothing else.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fcmae.findings.page import Section
from fcmae.gpu.page import NOT_RUN, Row, says, sections

BEGIN = "<!-- from benchmarks/results/gpu-*.json: `make docs` writes it again, a test compares -->"
END = "<!-- to here -->"
# Long, and of interest only where something is wrong; the page in HTML has them.
LEFT_OUT = ("Kernels against the definition", "Registers of the kernels")


def filled(text: str, records: Sequence[Row]) -> str:
    """A page with what the records say between its marks.

    Args:
        text: the page, which has both marks.
        records: of JSON files; none: the page says that nothing was run.
    """
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, "the page has no marks"
    words = "\n\n".join(map(_markdown, records)) if records else NOT_RUN
    return f"{before}{BEGIN}\n\n{words}\n\n{END}{after}"


def records_of(folder: Path) -> list[Row]:
    """The records of a folder, by the names of their files."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("gpu-*.json"))]


def _markdown(record: Row) -> str:
    versions = record["versions"]
    measured = f"{record['machine']}; torch {versions['torch']}"
    measured += f", triton {versions['triton']}" if "triton" in versions else ""
    parts = [f"{measured}; {record['date'][:10]}, commit {record['commit']}."]
    parts += [f"- {sentence}" for sentence in says(record)]
    parts += [_section(one) for one in sections(record) if one.title not in LEFT_OUT]
    return "\n\n".join(parts)


def _section(section: Section) -> str:
    lines = [f"### {section.title}", "", *section.paragraphs, ""]
    if section.table:
        heading = section.table.heading
        rows = [list(row) + [""] * (len(heading) - len(row)) for row in section.table.rows]
        table = [heading, ["---"] * len(heading), *rows]
        lines += [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in table]
    return "\n".join(lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


if __name__ == "__main__":
    folder, page = map(Path, sys.argv[1:])
    page.write_text(filled(page.read_text(), records_of(folder)))
