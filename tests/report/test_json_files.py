import math
from pathlib import Path

import pytest

from fcmae.report import json_files
from fcmae.report.run import Losses


def test_columns_ascend_in_step_and_lack_what_the_lines_lack() -> None:
    lines = ({"step": 2, "loss": 0.5}, {"step": 1}, {"loss": 9.0})
    losses = json_files.columns(Losses, lines)
    assert losses.step.tolist() == [1, 2]
    assert math.isnan(losses.loss[0])
    assert losses.loss[1] == 0.5


def test_lines_that_are_no_objects_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n[2]\n\xff\n{"step": 3}\n{"step": 4')
    assert list(json_files.lines(path)) == [{"step": 1}, {"step": 3}]
    assert list(json_files.lines(tmp_path / "absent.jsonl")) == []


@pytest.mark.parametrize("content", [b"", b'{"half": ', b"\xff\xfe"])
def test_a_file_that_is_no_json_is_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    assert json_files.value(path) is None


@pytest.mark.parametrize("content", [None, "0.5", [0.5], -0.1, 1.1, math.nan, math.inf])
def test_what_is_no_share_is_no_number(content: object) -> None:
    assert math.isnan(json_files.share(content))


def test_pairs_that_are_none_are_passed_over() -> None:
    assert json_files.pairs([["a", "b"], ["c"], "de", None]) == (("a", "b"),)
    assert json_files.pairs({"a": "b"}) == ()
