from pathlib import Path
from typing import Any

from fcmae.benchmarks.pretraining.pages import grouped, panels_of, sentences, write_sweep

RUN = {
    "machine": "A <fast> one", "versions": {"torch": "2"}, "settings": {"repeats": 7},
    "command": "fcmae benchmark", "date": "2026",
}  # fmt: skip


def row(model: str, ratio: float, speed: float) -> dict[str, Any]:
    return {
        "model": model, "image_size": 224, "batch_size": 4, "mask_ratio": ratio,
        "precision": "fp32",
        "images_per_second": {"dense": 10.0, "masked": 8.0, "tiled": 10 * speed},
        "speedup": {"tiled / dense": speed, "tiled / masked": 1.25 * speed},
        "speedup_range": {"tiled / dense": [1, 9], "tiled / masked": [1, 9]},
        "arithmetic_limit": 2.5, "of_matrix_products": {"tiled": 0.5},
        "memory": {"dense": 2e6, "masked": 4e6, "tiled": 1e6}, "memory_ratio": 0.25,
    }  # fmt: skip


ROWS = [row("convnextv2_tiny", 0.6, 2.0), row("convnextv2_atto", 0.6, 2.0),
        row("convnextv2_atto", 0.3, 1.5)]  # fmt: skip
TOO_LARGE = {name: ROWS[1][name] for name in ("model", "image_size", "batch_size", "precision")} | {
    "mask_ratio": 0.1, "error": "does not fit in memory"
}  # fmt: skip


def test_rows_that_differ_in_what_is_swept_are_one_group() -> None:
    groups = dict(grouped(ROWS, "mask_ratio"))
    assert [[row["mask_ratio"] for row in rows] for rows in groups.values()] == [[0.3, 0.6], [0.6]]
    assert next(iter(groups)) == "convnextv2_atto, 224 px, batch 4, fp32"


def test_sizes_keep_their_order() -> None:
    ((_, rows),) = grouped(ROWS[:2], "model")
    assert [row["model"] for row in rows] == ["convnextv2_tiny", "convnextv2_atto"]


def test_the_limit_is_drawn_over_dense() -> None:
    speed, memory = panels_of([TOO_LARGE, *ROWS[1:]], "mask-ratio")
    assert speed.places == (0.1, 0.6, 0.3)
    lines = {series.label: series.values for series in speed.series}
    assert lines["tiled"] == (None, 20.0, 15.0)
    assert lines["dense × what arithmetic saves"] == (None, 25.0, 25.0)
    assert memory.series[2].values == (None, 1.0, 1.0)


def test_it_says_what_the_rows_show() -> None:
    said = sentences("atto", [TOO_LARGE, ROWS[2], ROWS[1]], "mask-ratio")
    assert said == [
        "atto, from mask ratio 0.3 to mask ratio 0.6: tiled is 1.50 to 2.00 times as fast as "
        "dense, where arithmetic allows 2.50 times; 1.88 to 2.50 times as fast as masked, at 0.25 "
        "times its memory.",
        "atto: not measured, for lack of memory: mask ratio 0.1.",
    ]


def test_the_page_is_one_file_with_figure_and_table(tmp_path: Path) -> None:
    page = write_sweep(tmp_path, "mask-ratio", [*ROWS, TOO_LARGE], RUN).read_text()
    assert "A &lt;fast&gt; one" in page
    assert page.count("<svg ") == 2  # wide and narrow
    assert page.count("<tr>") == 1 + 4 + 3
    assert "does not fit in memory" in page
    assert "2.00 (1.00 to 9.00)" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_row_that_is_not_right_is_said_to_be(tmp_path: Path) -> None:
    wrong = ROWS[1] | {"agrees": False, "difference": {"loss": 1e-4, "gradient": 0.0123}}
    words = "tiled and masked differ by 0.012, more than 0.0001: not right"
    said = sentences("atto", [wrong, ROWS[2] | {"agrees": True}], "mask-ratio")
    assert said[1:] == [f"atto, mask ratio 0.6: {words}."]
    page = write_sweep(tmp_path, "mask-ratio", [wrong, ROWS[2]], RUN).read_text()
    assert page.count(words) == 2  # in the text and in the table
    assert "20.0" in page  # shown all the same


def test_where_nothing_fits_there_is_a_page_too(tmp_path: Path) -> None:
    page = write_sweep(tmp_path, "mask-ratio", [TOO_LARGE], RUN).read_text()
    assert "for lack of memory" in page
