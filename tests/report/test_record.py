import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fcmae.report.record import Record, as_csv, write_rows

RUN: dict[str, Any] = {
    "machine": "A", "versions": {"torch": "2"}, "settings": {"modes": ("tiled",)}, "command": "x"
}  # fmt: skip
KEY = ("model", "image_size")
ATTO = {"model": "atto", "image_size": (224, 160)}  # what is a tuple here is a list in the file
BASE = {"model": "base", "image_size": 64}


def test_what_was_measured_is_known_to_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    record = Record(folder, RUN, KEY)
    assert record.row(ATTO) is None
    record.add(ATTO | {"seconds": {"tiled": (1.5,)}})
    record.add(BASE | {"error": "does not fit"})
    again = Record(folder, RUN | {"command": "y"}, KEY)
    assert again.row(ATTO | {"seconds": None}) == record.row(ATTO) is not None
    assert again.row(BASE) is None  # it may fit now
    again.add(BASE | {"seconds": {}})
    written = json.loads((folder / "results.json").read_text())
    assert written["command"] == "y"
    assert written["rows"] == again.rows == [
        {"model": "atto", "image_size": [224, 160], "seconds": {"tiled": [1.5]}},
        {"model": "base", "image_size": 64, "seconds": {}},
    ]  # fmt: skip
    assert {path.name for path in folder.iterdir()} == {"results.json", "results.csv"}


def test_the_table_has_a_column_for_whatever_a_row_has() -> None:
    rows: list[dict[str, Any]] = [
        {"model": "atto", "memory": {"tiled": {"peak": 3}, "none": None}, "seconds": [1.5, 2]},
        {"model": "a, “b”", "error": "does not\nfit", "memory": {}},
    ]
    first, second = csv.DictReader(as_csv(rows).splitlines(keepends=True))
    assert first == {
        "model": "atto", "memory.tiled.peak": "3", "memory.none": "", "seconds": "[1.5, 2]",
        "error": "",
    }  # fmt: skip
    assert second == dict.fromkeys(first, "") | {"model": "a, “b”", "error": "does not\nfit"}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"machine": "B"}, "other machine,"), ({"settings": {}, "versions": {}}, "versions and sett")],
)
def test_other_circumstances_are_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    Record(tmp_path, RUN, KEY).add(ATTO)
    with pytest.raises(ValueError, match=words):
        Record(tmp_path, RUN | change, KEY)


def test_which_circumstances_matter_is_for_the_caller_to_say(tmp_path: Path) -> None:
    same = ("versions", "weights")
    Record(tmp_path, RUN | {"weights": "a"}, KEY, same).add(ATTO)
    assert Record(tmp_path, RUN | {"weights": "a", "machine": "B"}, KEY, same).row(ATTO) == {
        "model": "atto", "image_size": [224, 160]
    }  # fmt: skip
    with pytest.raises(ValueError, match="measured with other weights,"):
        Record(tmp_path, RUN | {"weights": "b"}, KEY, same)


ROWS_OF_OTHERS = json.dumps(RUN | {"rows": [{"model": "atto"}]})


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"rows": 3}', ROWS_OF_OTHERS])
def test_another_file_of_that_name_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match="no result of this command"):
        Record(tmp_path, RUN, KEY)
    assert (tmp_path / "results.json").read_text() == text


def test_a_file_is_no_folder() -> None:
    with pytest.raises(ValueError, match="is a file: give a folder"):
        Record(Path(__file__), RUN, KEY)


def test_rows_are_written_and_it_is_said_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "[red]a" / f"{'long' * 30}.json"
    path.parent.mkdir()
    write_rows(path, RUN, [BASE])
    assert json.loads(path.read_text())["rows"] == [BASE]
    assert capsys.readouterr().out == f"Wrote {path}\n"
