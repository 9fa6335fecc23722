"""A classifier, and where its weights are."""

from pathlib import Path

import pytest
from trained_files import save_classifier

from fcmae.models.classifier import Classifier


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


@pytest.fixture
def classifier(weights: Path) -> Classifier:
    return save_classifier(weights)
