"""What every training does before it trains, and what it does not for a dry run."""

import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from fcmae.commands.finetune import finetune
from fcmae.commands.pretrain import pretrain

TINY: dict[str, Any] = {"image_size": 32, "stem_stride": 2, "workers": 0, "device": "cpu"}


def refuse(*_: object) -> NoReturn:
    raise AssertionError("PyTorch imports its compiler for an optimiser, which takes a second")


@pytest.mark.parametrize("task", ["pretraining", "finetuning"])
def test_a_dry_run_shows_groups_without_an_optimiser(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setattr(f"fcmae.{task}.task.adamw", refuse)
    command = pretrain if task == "pretraining" else finetune
    command(data="sample", out=str(tmp_path / "run"), dry_run=True, **TINY)
    said = capsys.readouterr().err
    assert "parameters that decay" in said
    assert "measured on 4 random images" in said
    assert not (tmp_path / "run").exists()


def test_torchvision_is_not_imported_before_it_is_needed() -> None:
    code = "import fcmae.pretraining.run, fcmae.finetuning.run, sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "torch" in result.stdout.split()
    assert "torchvision" not in result.stdout.split()
