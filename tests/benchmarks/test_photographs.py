"""What is made in place of photographs is as large and as hard to read as they are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcmae.benchmarks.photographs import make_photographs


def test_photographs_are_of_the_size_and_differ(tmp_path: Path) -> None:
    first, second = make_photographs(tmp_path, 2, 0.3)
    with Image.open(first) as one, Image.open(second) as other:
        assert one.size == other.size
        assert one.width / one.height == pytest.approx(4 / 3, rel=0.01)
        assert one.width * one.height == pytest.approx(0.3e6, rel=0.01)
        assert not np.array_equal(np.array(one), np.array(other))


def test_they_are_the_same_every_time(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    (one,), (other,) = (make_photographs(f, 1, 0.05) for f in (tmp_path, tmp_path / "again"))
    assert one.read_bytes() == other.read_bytes()


def test_a_pixel_has_as_many_bits_as_in_a_cameras_file(tmp_path: Path) -> None:
    (path,) = make_photographs(tmp_path, 1, 1.0)
    assert 1 < 8 * path.stat().st_size / 1e6 < 3
