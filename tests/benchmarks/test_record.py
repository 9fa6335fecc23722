import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fcmae.benchmarks.record import Record
from fcmae.benchmarks.workload import Case

RUN: dict[str, Any] = {
    "machine": "A", "versions": {"torch": "2"}, "settings": {"modes": ("tiled",)}, "command": "x"
}  # fmt: skip
CASE = Case("convnextv2_atto", 64, 2, 0.5, "fp32")
OTHER = Case("convnextv2_atto", 64, 2, 0.75, "fp32")


def test_what_was_measured_is_known_to_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    record = Record(folder, RUN)
    assert record.row(CASE) is None
    record.add(CASE, asdict(CASE) | {"seconds": {"tiled": [1.5]}})
    record.add(OTHER, asdict(OTHER) | {"error": "does not fit"})
    again = Record(folder, RUN | {"command": "y"})
    assert again.row(CASE) == record.row(CASE) is not None
    assert again.row(OTHER) is None  # it may fit now
    again.add(OTHER, asdict(OTHER) | {"seconds": {}})
    written = json.loads((folder / "results.json").read_text())
    assert written["command"] == "y"
    assert [row["mask_ratio"] for row in written["rows"]] == [0.5, 0.75]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"machine": "B"}, "other machine,"), ({"settings": {}, "versions": {}}, "versions and sett")],
)
def test_other_circumstances_are_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    Record(tmp_path, RUN).add(CASE, asdict(CASE))
    with pytest.raises(ValueError, match=words):
        Record(tmp_path, RUN | change)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"rows": 3}'])
def test_another_file_of_that_name_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match="no result of this benchmark"):
        Record(tmp_path, RUN)
    assert (tmp_path / "results.json").read_text() == text
