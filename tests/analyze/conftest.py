"""Small models and pictures to analyse: weights of both versions, and a run with its decoder."""

from pathlib import Path

import pytest
from small_models import save_model, save_picture

import fcmae


@pytest.fixture(scope="session")
def v1(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A V1 without LayerScale's small start."""
    return str(save_model(tmp_path_factory.mktemp("v1") / "one.safetensors", "convnext_atto"))


@pytest.fixture(scope="session")
def v2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A V2."""
    path = tmp_path_factory.mktemp("v2") / "two.safetensors"
    return str(save_model(path, "convnextv2_atto", seed=1))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight pictures of three classes, of which one has a single picture."""
    folder = tmp_path / "data"
    for number, name in enumerate(("bee", "cat", "bee", "ant", "cat", "bee", "cat", "bee")):
        save_picture(folder / "val" / name / f"{number}.png", number)
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training run of two steps on pictures of 32 x 48 pixels."""
    root = tmp_path_factory.mktemp("run")
    for number in range(4):
        save_picture(root / "images" / f"{number}.png", number)
    return fcmae.pretrain(
        data=str(root / "images"),
        out=str(root / "out"),
        image_size="32x48",
        stem_stride=1,
        patch_size=16,
        batch_size=2,
        epochs=1,
        workers=0,
        device="cpu",
        set=("decoder_width=13", "warmup_epochs=0"),
    )
