"""The files are whole after every row."""

import json
from pathlib import Path

from fcmae.gpu.record import Record, Recorder


def test_every_row_is_on_the_disk_at_once(tmp_path: Path) -> None:
    pages: list[int] = []

    def write_page(path: Path, record: Record) -> None:
        assert path == tmp_path / "gpu-x.html"
        pages.append(sum(len(part["rows"]) for part in record["parts"]))

    recorder = Recorder(tmp_path / "gpu-x", {"machine": "X"}, write_page)

    def stored() -> dict:
        return json.loads((tmp_path / "gpu-x.json").read_text())

    assert stored()["machine"] == "X"
    assert stored()["parts"] == []
    recorder.begin("figure 1")
    recorder.add({"model": "a", "error": "no"})
    assert [part["rows"] for part in stored()["parts"]] == [[{"model": "a", "error": "no"}]]
    recorder.begin("tests")
    recorder.add({"agrees": True})
    recorder.add({"agrees": False})
    parts = stored()["parts"]
    assert [part["name"] for part in parts] == ["figure 1", "tests"]
    assert parts[1]["rows"] == [{"agrees": True}, {"agrees": False}]
    assert pages == [0]  # at most every other second
    recorder.end()
    assert pages == [0, 3]
