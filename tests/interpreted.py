"""Loads a module of Triton kernels: for the GPU where there is one, else for its interpreter."""

import importlib
from types import ModuleType

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # see conftest.py


def load(name: str) -> ModuleType:
    """Import `name`, or skip the tests where Triton is not installed."""
    pytest.importorskip("triton.experimental.gluon")  # Triton itself loads it late
    return importlib.import_module(name)
