"""What pytest says becomes rows."""

from pathlib import Path

import pytest
import torch

from fcmae.gpu import remaining_tests
from fcmae.gpu.remaining_tests import run_tests

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  gpu\n  slow\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remaining_tests, "ABREAST", 0)
    return tmp_path


def test_a_test_that_fails_has_a_row_with_its_reason(folder: Path) -> None:
    (folder / "test_a.py").write_text(
        "def test_right(): pass\ndef test_wrong(): assert 1 == 2, 'not so'\n"
    )
    failed, last = run_tests(CPU, folder=str(folder))
    assert failed == {"test": "test_a.py::test_wrong", "error": "AssertionError: not so"}
    assert last["agrees"] is False
    assert last["said"].startswith("1 failed, 1 passed")


def test_tests_that_pass_are_one_row(folder: Path) -> None:
    (folder / "test_a.py").write_text(
        "import pytest\ndef test_right(): pass\n@pytest.mark.slow\ndef test_slow(): assert False\n"
    )
    (row,) = run_tests(CPU, folder=str(folder))
    assert row["agrees"] is True
    assert row["said"].startswith("1 passed")
