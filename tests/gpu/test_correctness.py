"""Kernels against the definition: what agrees is said, and what does not is seen."""

import math
from pathlib import Path

import pytest
import torch

from fcmae import ops
from fcmae.models.layers import Block
from fcmae.ops import kernels
from gpu import correctness
from gpu.correctness import check_block, examine_encoder, run_tests

CPU = torch.device("cpu")
SMALL = {"channels": 7, "side": 4, "images": 3, "cells": 3}


def test_every_result_and_gradient_of_a_block_has_a_row() -> None:
    rows = list(check_block(CPU, precision="fp32", **SMALL))
    names = [name for name, _ in Block(7).named_parameters()]
    assert [row["value"] for row in rows] == [
        "result",
        "gradient of x",
        *(f"gradient of {name}" for name in names),
    ]
    assert all(row["agrees"] and row["difference"] < 1e-5 for row in rows)


@pytest.mark.parametrize("error", [0.01, math.nan])
def test_a_kernel_that_is_wrong_is_seen(error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = ops.conv_tiled.depthwise_conv

    def wrong(x: torch.Tensor, *rest: object) -> torch.Tensor:
        return usual(x, *rest) + error * x

    monkeypatch.setattr(kernels, "SUITED", {})
    monkeypatch.setattr(ops.conv_tiled, "depthwise_conv", wrong)
    rows = {row["value"]: row["agrees"] for row in check_block(CPU, precision="fp32", **SMALL)}
    assert rows["result"] is rows["gradient of dwconv.weight"] is False


def test_the_doctors_checks_are_made_on_the_device_alone() -> None:
    rows = list(examine_encoder(CPU, image_size=64))
    assert all(row["agrees"] for row in rows)
    assert any("modes agree" in row["check"] for row in rows)
    assert not any("float64" in row["check"] for row in rows)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  gpu\n  slow\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(correctness, "ABREAST", 0)
    return tmp_path


def test_a_test_that_fails_has_a_row_with_its_reason(folder: Path) -> None:
    (folder / "test_a.py").write_text(
        "def test_right(): pass\ndef test_wrong(): assert 1 == 2, 'not so'\n"
    )
    failed, last = run_tests(CPU, folder=str(folder))
    assert failed == {"test": "test_a.py::test_wrong", "error": "AssertionError: not so"}
    assert last["agrees"] is False
    assert last["said"].startswith("1 failed, 1 passed")


def test_tests_that_pass_are_one_row(folder: Path) -> None:
    (folder / "test_a.py").write_text(
        "import pytest\ndef test_right(): pass\n@pytest.mark.slow\ndef test_slow(): assert False\n"
    )
    (row,) = run_tests(CPU, folder=str(folder))
    assert row["agrees"] is True
    assert row["said"].startswith("1 passed")
