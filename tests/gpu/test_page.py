"""A record as a page and as a part of the documentation: whatever is in it, and when little is."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from fcmae.gpu.page import NOT_RUN, PARTS, line, says, sections, write_page
from fcmae.gpu.reproduce import BEGIN, END, filled, records_of

ROOT = Path(__file__).parents[2]
SIZES = ("convnextv2_atto", "convnextv2_huge")


def figure_1() -> list[dict[str, Any]]:
    """Atto in both modes; Huge fits as tiles alone."""
    common = {"precision": "bf16", "held": 10**9}
    tiled = {"mode": "tiled", "images_per_second": 3000.0, "memory": 2 * 10**9, **common}
    masked = {"mode": "masked", "images_per_second": 1000.0, "memory": 8 * 10**9, **common}
    ratio = {"speedup": 3.0, "speedup_range": [2.9, 3.25], "memory_ratio": 1 / 3}
    return [
        {"model": SIZES[0], **tiled},
        {"model": SIZES[0], **masked, **ratio},
        {"model": SIZES[0], "mode": "tiled and masked", "agrees": True, "precision": "bf16"},
        {"model": SIZES[1], **tiled},
        {"model": SIZES[1], "mode": "masked", "error": "does not fit in memory"},
        {"model": SIZES[1], "left_out": "no time was left"},
    ]


def record_of(**parts: list[dict[str, Any]]) -> dict[str, Any]:
    listed = [
        {"name": name.replace("_", " "), "seconds": 1.0, "rows": rows}
        for name, rows in parts.items()
    ]
    run = {"machine": "NVIDIA X, 79 GiB", "versions": {"torch": "2.11.0"}, "command": "make gpu"}
    return {**run, "date": "2026-11-27T13:00:00", "commit": "abc", "parts": listed}


def test_figure_1_has_a_line_for_each_mode_and_a_reason_where_there_is_none() -> None:
    (section,) = sections(record_of(figure_1=figure_1()))
    assert section.table is not None
    assert [row[0] for row in section.table.rows] == [
        "atto, tiled",
        "atto, masked",
        "huge, tiled",
        "huge, masked",
        "huge, ",
    ]
    cells = section.table.rows[1]
    assert cells[1:] == ["bf16", "1,000", "8.0 GB", "3.00 (2.90 to 3.25)", "0.33"]
    assert section.table.rows[3][1] == "failed: does not fit in memory"
    assert section.table.rows[4][1] == "left out: no time was left"


def test_sentences_say_what_failed_first_and_what_figure_1_comes_to() -> None:
    sentences = says(record_of(figure_1=figure_1()))
    assert sentences[0].startswith("1 row failed or disagreed")
    assert "3.00 times as fast as masked ones (3.00 to 3.00) with 3.00 times less" in sentences[1]
    assert says(record_of()) == []


def test_a_result_that_disagrees_is_shown_and_counted() -> None:
    row = {"channels": 40, "side": 8, "precision": "bf16", "value": "result"}
    rows = [
        {**row, "difference": 0.001, "tolerance": 0.03, "agrees": True},
        {**row, "difference": math.inf, "tolerance": 0.03, "agrees": False},
    ]
    record = record_of(kernels_agree=rows)
    assert says(record)[-1].startswith("1 of 2 results and gradients")
    (section,) = sections(record)
    assert section.table is not None
    assert [cells[-1] for cells in section.table.rows] == ["yes", "NO"]


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_shown_even_where_a_row_lacks_what_its_columns_ask(name: str) -> None:
    rows = [{}, {"error": "CompilationError: at 1:2:\nx"}, {"left_out": "no time was left"}]
    (section,) = sections({"parts": [{"name": name, "rows": rows}]})
    assert section.table is not None
    assert "failed: CompilationError: at 1:2:" in [row[-1] for row in section.table.rows]
    assert all(isinstance(line(name, row), str) for row in rows)


def test_the_page_has_the_figure_and_no_script(tmp_path: Path) -> None:
    path = write_page(tmp_path / "gpu-x.html", record_of(figure_1=figure_1()))
    text = path.read_text()
    assert "NVIDIA X, 79 GiB" in text
    assert "data:image/svg+xml;base64," in text
    assert "<script" not in text


def test_the_documentation_is_filled_from_files_alone(tmp_path: Path) -> None:
    page = f"before\n\n{BEGIN}\n\nold\n\n{END}\nafter\n"
    assert filled(page, {}) == f"before\n\n{BEGIN}\n\n{NOT_RUN}\n\n{END}\nafter\n"
    (tmp_path / "gpu-x.json").write_text(json.dumps(record_of(figure_1=figure_1())))
    text = filled(page, records_of(tmp_path))
    assert "old" not in text
    assert "NVIDIA X, 79 GiB; torch 2.11.0; 2026-11-27, commit abc." in text
    assert "| atto, masked | bf16 | 1,000 | 8.0 GB | 3.00 (2.90 to 3.25) | 0.33 |" in text
    assert filled(text, records_of(tmp_path)) == text


def test_the_documentation_is_that_of_the_files() -> None:
    page = (ROOT / "docs/reproduce.md").read_text()
    assert filled(page, records_of(ROOT / "benchmarks/results")) == page
