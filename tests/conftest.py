"""Shared by all tests: where real images are, and CPU determinism."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _data(name: str) -> Path:
    folder = Path(os.environ.get("FCMAE_TEST_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; set FCMAE_TEST_DATA to the folder that holds {name}/")
    return folder


@pytest.fixture(scope="session")
def real_images() -> Path:
    """Imagenette at 160 px: train/CLASS/*.JPEG and val/CLASS/*.JPEG."""
    return _data("imagenette160")


@pytest.fixture(scope="session")
def cifar100() -> Path:
    """CIFAR-100 as lossless class mosaics."""
    return _data("cifar100")
