"""What the page of any run shows; the run of these tests is one of masked pre-training."""

from pathlib import Path

import pytest
from report.page import Page

from fcmae.report import write_report


def text_of(run: Path) -> str:
    return " ".join(Page(write_report(run)).text.split())


@pytest.mark.parametrize(("waiting", "word"), [(0.02, "not what limits"), (0.4, "more loading")])
def test_waiting_for_images_is_judged(make_run, waiting: float, word: str) -> None:
    timing = [{"step": 1, "images_per_second": 9.0, "waiting": waiting, "peak_memory": 1.2e9}]
    text = text_of(make_run(timing=timing))
    assert word in text
    assert "1.2 GB" in text


@pytest.mark.parametrize(("decoding", "advised"), [("fast", False), ("exact", True)])
def test_fast_decoding_is_advised_where_it_is_not_used(
    make_run, decoding: str, advised: bool
) -> None:
    timing = [{"step": 1, "images_per_second": 9.0, "waiting": 0.4}]
    text = text_of(make_run(config={"decoding": decoding}, timing=timing))
    assert "--workers" in text
    assert ("--decoding fast" in text) == advised


def test_unreadable_files_are_counted_against_all(full_run) -> None:
    assert "1 file of 4,000 (0.0 %) could not be read; the run went on without it" in text_of(
        full_run
    )


def test_memory_is_the_highest_of_all_processes(make_run) -> None:
    timing = [{"step": 1, "peak_memory": 2e9}, {"step": 2, "peak_memory": None}]
    assert "Memory at its peak: 2.0 GB." in text_of(make_run(timing=timing))
    assert "Memory" not in text_of(make_run(timing=[{"step": 1, "seconds": 1.0}]))


def test_departures_are_rows_of_words(make_run) -> None:
    row = {"field": "betas", "table": [0.9, 0.95], "run": None}
    text = text_of(make_run(config={"departures": [row, None]}))
    assert "betas0.9, 0.95none" in text
    assert "differs from Table 1 of the ConvNeXt V2 paper" in text


@pytest.mark.parametrize("departures", [[], {}, [None, 3], "x", 3])
def test_departures_that_are_none(make_run, departures: object) -> None:
    assert "None: every field is as Table 1" in text_of(make_run(config={"departures": departures}))
