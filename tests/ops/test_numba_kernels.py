"""How kernels for the processor are compiled."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from fcmae.ops import numba_kernels


def test_where_nothing_can_be_kept_it_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def without_a_folder(*function: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*function, **options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    values = np.ones(3)
    numba_kernels.compiled(double)(values)
    assert values.tolist() == [2, 2, 2]


def test_compiling_is_said_once_and_not_of_kernels_that_were_kept(tmp_path: Path) -> None:
    code = (
        "import torch\n"
        "from fcmae.ops.feed_forward import cpu\n"
        "for dtype in (torch.float32, torch.float64):\n"
        "    cpu.normalise(torch.ones(3, 5, dtype=dtype), 1e-6)\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for said in (1, 0):
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            timeout=120,
            capture_output=True,
            text=True,
        )
        assert answer.stderr.count("compiling kernels") == answer.stderr.count("\n") == said
        assert "every time" not in answer.stderr


@pytest.mark.parametrize(("module", "said"), [("fcmae.ops.trial", 1), ("elsewhere", 0)])
def test_compiling_is_said_of_our_kernels(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, module: str, said: int
) -> None:
    monkeypatch.setattr(numba_kernels.announcement, "due", True)
    monkeypatch.setattr(double, "__module__", module)
    numba.njit(double)(np.ones(3))
    assert sum("compiling" in text for text in caplog.messages) == said
    assert all("NUMBA_CACHE_DIR" in text for text in caplog.messages)  # nothing is kept here


def test_of_many_processes_the_first_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, due in (("0", True), ("3", False)):
        monkeypatch.setenv("RANK", rank)
        assert type(numba_kernels.announcement)().due == due


def double(values):  # type: ignore[no-untyped-def]
    """In place."""
    for i in range(len(values)):
        values[i] *= 2
