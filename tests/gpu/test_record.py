"""The files are whole after every row, and a second call goes on."""

import json
from pathlib import Path
from typing import Any

import pytest

from gpu.record import Record, Recorder

RUN: dict[str, Any] = {
    "machine": "X",
    "versions": {"torch": "2.11"},
    "commit": "abc",
    "date": "2026-11-27T13:47:09",
}
RUN["rehearsal"] = False
ORDER = ["figure 1", "graph", "tests"]


def recorder_of(path: Path, pages: list[int] | None = None, **run: Any) -> Recorder:
    def write_page(page: Path, record: Record) -> None:
        assert page == path.with_suffix(".html")
        if pages is not None:
            pages.append(sum(len(part["rows"]) for part in record["parts"]))

    return Recorder(path, {**RUN, **run}, ORDER, write_page)


def stored(path: Path) -> dict[str, list[dict[str, Any]]]:
    parts = json.loads(path.with_suffix(".json").read_text())["parts"]
    return {part["name"]: part["rows"] for part in parts}


def test_every_row_is_on_the_disk_at_once(tmp_path: Path) -> None:
    path, pages = tmp_path / "gpu-x", list[int]()
    recorder = recorder_of(path, pages)
    assert stored(path) == {}
    recorder.begin("graph")
    recorder.add({"model": "a", "error": "no"})
    assert stored(path) == {"graph": [{"model": "a", "error": "no"}]}
    recorder.finish()
    recorder.begin("tests")
    recorder.add({"agrees": True})
    recorder.add({"agrees": False})
    assert stored(path)["tests"] == [{"agrees": True}, {"agrees": False}]
    assert pages == [0, 1]  # between the ends of parts at most every other second
    recorder.finish()
    assert pages == [0, 1, 3]


def test_a_second_call_keeps_what_is_there_and_does_again_what_was_not_right(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gpu-x"
    first = recorder_of(path)
    for name, row in (("tests", {"agrees": True}), ("graph", {"error": "no"})):
        first.begin(name)
        first.add(row)
        first.finish()
    first.begin("figure 1")
    first.add({"row": 1})  # and is cut off here
    second = recorder_of(path, date="2026-11-28")
    assert [second.is_done(name) for name in ORDER] == [False, False, True]
    second.begin("graph")
    second.add({"row": 2})
    second.finish()
    assert list(stored(path)) == ORDER
    assert stored(path) == {
        "figure 1": [{"row": 1}],
        "graph": [{"row": 2}],
        "tests": [{"agrees": True}],
    }


def test_good_rows_stay_until_there_are_as_many(tmp_path: Path) -> None:
    path = tmp_path / "gpu-x"
    first = recorder_of(path)
    first.begin("graph")
    for row in ({"row": 1}, {"error": "no"}, {"row": 3}):
        first.add(row)
    first.finish()
    second = recorder_of(path)
    assert not second.is_done("graph")
    second.begin("graph")
    second.add({"row": 10})
    assert len(stored(path)["graph"]) == 3
    second.add({"left_out": "no time"})
    second.finish()
    assert stored(path)["graph"] == [{"row": 1}, {"error": "no"}, {"row": 3}]
    second.begin("graph")
    for number in (10, 20):
        second.add({"row": number})
    second.finish()
    assert stored(path)["graph"] == [{"row": 10}, {"row": 20}]
    assert second.is_done("graph")


def test_a_page_that_cannot_be_written_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(path: Path, record: Record) -> None:
        raise ZeroDivisionError("odd rows")

    recorder = Recorder(tmp_path / "gpu-x", RUN, ORDER, broken)
    recorder.begin("tests")
    recorder.add({"row": 1})
    recorder.finish()
    assert stored(tmp_path / "gpu-x") == {"tests": [{"row": 1}]}
    assert capsys.readouterr().err == "not written: ZeroDivisionError: odd rows\n"


def test_other_circumstances_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "gpu-x"
    for other in (
        {"machine": "Y"},
        {"versions": {"torch": "2.12"}},
        {"commit": "def"},
        {"rehearsal": True},
    ):
        first = recorder_of(path)
        first.begin("tests")
        first.add({"agrees": True})
        first.finish()
        assert not recorder_of(path, **other).is_done("tests")
        assert stored(path) == {}
        assert stored(tmp_path / "former-gpu-x-20261127T134709") == {"tests": [{"agrees": True}]}
        path.with_suffix(".json").unlink()


def test_a_part_of_another_call_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "gpu-x"
    first = Recorder(path, RUN, ["toy study"], lambda *_: None)
    first.begin("toy study")
    first.add({"row": 1})
    first.finish()
    recorder_of(path)
    assert stored(path) == {"toy study": [{"row": 1}]}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"parts": 3}', '{"parts": [{"name": 1}]}'])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "gpu-x.json").write_text(text)
    with pytest.raises(ValueError, match="is no record of this command: move it away"):
        recorder_of(tmp_path / "gpu-x")
    assert (tmp_path / "gpu-x.json").read_text() == text
