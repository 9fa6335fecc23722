"""Images of seven classes, and each study with all of its settings, built once."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from wiring.small import CLASSES, save_picture, tiny_sizes
from wiring.studies.built import STUDIES, VALUES, Study, build, widen


@pytest.fixture(autouse=True)
def _widths(monkeypatch: pytest.MonkeyPatch) -> None:
    widen(monkeypatch)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven classes: six images of each to train on, three to validate on."""
    root = tmp_path_factory.mktemp("images")
    for split, number, first in (("train", 42, 0), ("val", 21, 100)):
        for i in range(number):
            save_picture(root / split / CLASSES[i % 7] / f"{i:02d}.png", first + i)
    return root


@pytest.fixture(scope="module")
def studies(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Study]:
    """Each study under `VALUES`, with all of its settings; built once."""

    @functools.cache
    def study_of(name: str) -> Study:
        values = tuple(f"{field}={value}" for field, value in VALUES.items())
        with tiny_sizes(), pytest.MonkeyPatch.context() as patch:
            widen(patch)
            return build(STUDIES[name][0], images, tmp_path_factory.mktemp(name), set=values)

    return study_of
