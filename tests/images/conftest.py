"""Images with classes."""

from pathlib import Path

import pytest
from small_pictures import write_pictures


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three classes of unequal size, one nested deeper."""
    write_pictures(tmp_path / "train/cat", *(f"{i:02d}.png" for i in range(20)))
    write_pictures(tmp_path / "train/dog", *(f"deep/er/{i}.png" for i in range(10)))
    write_pictures(tmp_path / "train/ant", "only.png")
    write_pictures(tmp_path / "val", "ant/a.png", "cat/b.png", "dog/c.png", ".hidden/d.png")
    return tmp_path
