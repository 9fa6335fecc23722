from pathlib import Path
from typing import Any

import pytest
import torch

from fcmae.studies import gpu
from fcmae.studies.scale import SMALL
from fcmae.tasks.training.settings import override


def test_a_machine_without_cuda_is_told_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--data", "images", "--out", str(tmp_path)]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_both_studies_are_done_larger_than_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for study in ("reconstruction", "contrastive"):
        monkeypatch.setattr(gpu, study, lambda **options: calls.append(options))
    assert gpu.main(["--data", "images", "--out", str(tmp_path)]) == 0
    assert [call["device"] for call in calls] == ["cuda", "cuda"]
    assert [Path(call["out"]).name for call in calls] == [
        "study-reconstruction-gpu",
        "study-contrastive-gpu",
    ]
    assert override(SMALL, calls[1]["set"]).num_images > SMALL.num_images
