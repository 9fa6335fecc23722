"""Tiny models for every test here, and pictures on the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from wiring.small import save_labelled, save_unlabelled, save_weights, tiny_sizes

from fcmae.training import trainer


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without what is not looked at here and takes the most time: reports, waiting for the disk."""
    monkeypatch.setattr(trainer, "write_report", lambda out: out / "report.html")
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what is killed is not the machine
    with tiny_sizes():
        yield


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen pictures without classes."""
    return save_unlabelled(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/CLASS and val/CLASS: seven classes."""
    return save_labelled(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder's weights to begin with."""
    with tiny_sizes():
        return save_weights(tmp_path_factory.mktemp("weights") / "encoder.safetensors")
