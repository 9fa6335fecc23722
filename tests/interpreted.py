"""Loads a module of Triton kernels: for the GPU where there is one, else for its interpreter."""

import importlib
import os
from types import ModuleType

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SWITCH = "TRITON_INTERPRET"


def load(name: str) -> ModuleType:
    """Import `name`; kernels learn when they are defined whether they are to be interpreted."""
    before = os.environ.get(SWITCH)
    if DEVICE == "cpu":
        os.environ[SWITCH] = "1"
    try:
        pytest.importorskip("triton.experimental.gluon")  # Triton itself loads it late
        return importlib.import_module(name)
    finally:  # other tests' processes must not inherit it
        if before is None:
            os.environ.pop(SWITCH, None)
        else:
            os.environ[SWITCH] = before
