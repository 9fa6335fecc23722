"""What every training does before it trains, and what it does not for a dry run."""

import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from fcmae.commands.finetune import finetune
from fcmae.commands.pretrain import pretrain
from fcmae.training.start import compare_plans

TINY: dict[str, Any] = {"image_size": 32, "stem_stride": 2, "workers": 0, "device": "cpu"}


def refuse(*_: object) -> NoReturn:
    raise AssertionError("PyTorch imports its compiler for an optimiser, which takes a second")


@pytest.mark.parametrize("task", ["pretraining", "finetuning"])
def test_a_dry_run_shows_groups_without_an_optimiser(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setattr("fcmae.training.trainer.adamw", refuse)
    command = pretrain if task == "pretraining" else finetune
    command(data="sample", out=str(tmp_path / "run"), dry_run=True, **TINY)
    said = capsys.readouterr().err
    assert "parameters that decay" in said
    assert "measured on 4 images of the first step" in said
    assert not (tmp_path / "run").exists()


def test_torchvision_is_not_imported_before_it_is_needed() -> None:
    code = "import fcmae.pretraining.run, fcmae.finetuning.run, sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "torch" in result.stdout.split()
    assert "torchvision" not in result.stdout.split()


# Resuming with other settings


def test_a_plan_that_is_the_same_is_resumed() -> None:
    compare_plans(
        {"image_size": (160, 96), "seed": 3}, {"image_size": [160, 96], "seed": 3, "old": 1}
    )


def test_what_does_not_decide_the_result_may_differ() -> None:
    compare_plans(
        {"data": "/new/place", "departures": [{"because": "asked for"}], "seed": 3},
        {"data": "/old/place", "departures": [], "seed": 3},
    )


def test_every_field_of_a_plan_that_differs_is_named() -> None:
    plan = {
        "names": "b",
        "images": 31,
        "precision": "bf16",
        "seed": 3,
        "new": 1,
        "recipe": {"norm_pix": True, "weight_decay": 0.1},
    }
    stored = {
        "names": "a",
        "images": 30,
        "precision": "fp32",
        "seed": 3,
        "recipe": {"norm_pix": True, "weight_decay": 0.05},
    }
    with pytest.raises(ValueError, match="start another run") as caught:
        compare_plans(plan, stored)
    assert str(caught.value).splitlines()[1:-1] == [
        "  the files in the data: some were added, removed, renamed or sorted otherwise",
        "  the number of images: the run has 30, now 31",
        "  precision: the run has 'fp32', now 'bf16'",
        "  new: the run has None, now 1",
        "  weight_decay: the run has 0.05, now 0.1",
    ]
