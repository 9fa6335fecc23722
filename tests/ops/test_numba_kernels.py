"""How kernels for the processor are compiled."""

from typing import Any

import numba
import numpy as np
import pytest

from fcmae.ops import numba_kernels


def test_where_nothing_can_be_kept_it_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def without_a_folder(*, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    values = np.ones(3)
    numba_kernels.compiled(double)(values)
    assert values.tolist() == [2, 2, 2]


def double(values):  # type: ignore[no-untyped-def]
    """In place."""
    for i in range(len(values)):
        values[i] *= 2
