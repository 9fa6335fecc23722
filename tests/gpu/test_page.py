"""A record as a page and as a part of the documentation: whatever is in it, and when little is."""

import json
from pathlib import Path
from typing import Any

import pytest

from gpu.columns import PARTS
from gpu.page import one_line, sections, sentences, write_page
from gpu.reproduce import BEGIN, END, NOT_RUN, filled, main, records_of

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
        {
            "model": SIZES[1],
            "mode": "masked",
            "precision": "bf16",
            "error": "does not fit in memory",
        },
        {"model": SIZES[1], "left_out": "no time was left"},
    ]


def record_of(**parts: list[dict[str, Any]]) -> dict[str, Any]:
    listed = [
        {"name": name.replace("_", " "), "seconds": 1.0, "rows": rows}
        for name, rows in parts.items()
    ]
    run = {"machine": "NVIDIA X, 79 GiB", "versions": {"torch": "2.11.0"}, "command": "make gpu"}
    when = {"date": "2026-11-27T13:00:00", "seconds": 48.2}
    return {**run, **when, "commit": "abc", "rehearsal": False, "parts": listed}


def test_figure_1_has_a_line_for_each_size_and_a_reason_where_a_mode_has_none() -> None:
    (section,) = sections(record_of(figure_1=figure_1()))
    assert section.table is not None
    atto, huge, left = section.table.rows
    assert atto[:4] == ["atto, bf16", "3,000", "1,000", "3.00 (2.90 to 3.25)"]
    assert atto[5:] == ["3.0 GB", "9.0 GB", "0.33"]
    reason = "does not fit in memory"
    assert huge == ["huge, bf16", "3,000", reason, reason, reason, "3.0 GB", reason, reason]
    assert left == ["–", "left out: no time was left"]
    said = [one_line("figure 1", row) for row in figure_1()]
    assert said[0] == "atto, bf16  images/s, tiled 3,000  memory, tiled 3.0 GB"


def test_sentences_say_what_failed_first_and_what_figure_1_comes_to() -> None:
    first, second = sentences(record_of(figure_1=figure_1()))
    assert first.startswith("1 row failed or disagreed")
    assert (
        "3.00 to 3.00 times as fast as masked ones (median 3.00), slower at 0 of 1 size" in second
    )
    assert "hold 0.33 to 0.33 of the memory" in second
    assert sentences(record_of()) == []


def test_a_result_that_disagrees_is_the_one_that_is_shown() -> None:
    row = {"channels": 40, "side": 8, "precision": "bf16", "tolerance": 0.03}
    rows = [
        {**row, "value": "result", "difference": 0.001, "agrees": True},
        {**row, "value": "gradient of x", "difference": "nan", "agrees": False},
        {**row, "value": "gradient of w", "difference": 0.002, "agrees": True},
        {"channels": 80, "side": 4, "precision": "bf16", "error": "KeyError: x"},
    ]
    record = record_of(kernels_agree=rows)
    assert sentences(record)[-1].startswith("2 of 3 results and gradients")
    (section,) = sections(record)
    assert section.table is not None
    assert section.table.rows == [
        ["40, 8, bf16", "2 of 3", "gradient of x", "nan", "3e-02"],
        ["80, 4, bf16", "failed: KeyError: x"],
    ]


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_shown_even_where_a_row_lacks_what_its_columns_ask(name: str) -> None:
    rows = [{}, {"error": "CompilationError: at 1:2:\nx"}, {"left_out": "no time was left"}]
    (section,) = sections({"parts": [{"name": name, "rows": rows}]})
    assert section.table is not None
    assert "failed: CompilationError: at 1:2:" in [row[-1] for row in section.table.rows]
    empty, failed, left = (one_line(name, row) for row in rows)
    assert "failed" not in empty
    assert "failed: CompilationError: at 1:2:" in failed
    assert "left out: no time was left" in left


def test_the_page_has_the_figure_and_no_script(tmp_path: Path) -> None:
    path = write_page(tmp_path / "gpu-x.html", record_of(figure_1=figure_1()))
    text = path.read_text()
    assert "NVIDIA X, 79 GiB" in text
    assert "What a GPU shows" in text
    assert "All that was measured is in gpu-x.json beside this page." in text
    assert text.count("<svg ") == 2  # wide and narrow
    assert "<script" not in text


def test_the_documentation_is_filled_from_files_alone(tmp_path: Path) -> None:
    page = f"before\n\n{BEGIN}\n\nwas here before\n\n{END}\nafter\n"
    assert filled(page, {}) == f"before\n\n{BEGIN}\n\n{NOT_RUN}\n\n{END}\nafter\n"
    (tmp_path / "gpu-x.json").write_text(json.dumps(record_of(figure_1=figure_1())))
    text = filled(page, records_of(tmp_path))
    assert "was here before" not in text
    assert "NVIDIA X, 79 GiB; torch 2.11.0; 2026-11-27, commit abc; 48 s of `make gpu`." in text
    assert "| atto, bf16 | 3,000 | 1,000 | 3.00 (2.90 to 3.25) | – | 3.0 GB | 9.0 GB |" in text
    assert filled(text, records_of(tmp_path)) == text
    (tmp_path / "page.md").write_text(page)
    main(tmp_path, tmp_path / "page.md")
    assert "images a second and memory by size" in (tmp_path / "page.md").read_text()
    assert (tmp_path / "gpu-x.png").read_bytes().startswith(b"\x89PNG")


def test_a_rehearsal_is_no_result(tmp_path: Path) -> None:
    record = {**record_of(figure_1=figure_1()), "rehearsal": True}
    assert "Rehearsal: not a measurement" in write_page(tmp_path / "x.html", record).read_text()
    (tmp_path / "rehearsal-x.json").write_text(json.dumps(record))
    assert records_of(tmp_path) == {}


def test_the_documentation_is_that_of_the_files() -> None:
    page = (ROOT / "docs/reproduce.md").read_text()
    assert filled(page, records_of(ROOT / "benchmarks/results")) == page
