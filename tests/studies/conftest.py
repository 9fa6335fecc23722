"""Labelled images for studies, and the smallest study there can be."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from whole_runs import save_coloured

from fcmae.studies import setting

TINY = (
    "image_size=16",
    "num_images=0",
    "num_val_images=0",
    "pretraining_epochs=1",
    "pretraining_batch_size=4",
    "contrastive_epochs=1",
    "contrastive_batch_size=4",
    "finetuning_epochs=1",
    "finetuning_batch_size=4",
    "supervised_epochs=1",
    "supervised_batch_size=4",
    "label_share=1",
)


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three colours, four images of each to train on and two to validate on."""
    return save_coloured(tmp_path_factory.mktemp("classes"), train=4, val=2)


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Values of the scale."""
    return TINY


class Pretence:
    """Commands that write what a run leaves, and fail where they are told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool]] = []  # the run, and whether it was resumed
        self.failing: dict[str, list[BaseException]] = {}  # by run

    def pretrain(self, *, out: str, resume: bool, **options: Any) -> Path:
        return self.train(Path(out), resume, options, "metrics.jsonl")

    def finetune(self, *, out: str, resume: bool, **options: Any) -> Path:
        return self.train(Path(out), resume, options, "validation.json")

    def train(self, out: Path, resume: bool, options: dict[str, Any], result: str) -> Path:
        name = "/".join(out.parts[-3:])
        self.calls.append((name, resume))
        (out / "checkpoints" / "last").mkdir(parents=True, exist_ok=True)
        config = {"options": options, "plan": {}, "steps": 10}
        (out / "config.json").write_text(json.dumps(config))
        state = out / "checkpoints" / "last" / "state.json"
        state.write_text(json.dumps({"step": 4, "stopped": False}))
        (out / "timing.jsonl").write_text('{"step": 4, "seconds": 2.5}\n')
        if self.failing.get(name):
            raise self.failing[name].pop(0)
        lines = [{"kind": "epoch", "loss": 0.9}, {"kind": "step"}, {"kind": "epoch", "loss": 0.7}]
        contents = {
            "metrics.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
            "validation.json": json.dumps({"accuracy": 0.5, "epoch": 2}),
        }
        (out / result).write_text(contents[result])
        described = {"fcmae": json.dumps({"step": 10})}
        save_file({"weight": torch.zeros(1)}, out / "weights.safetensors", described)
        state.write_text(json.dumps({"step": 10, "stopped": False}))
        return out


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Pretence:
    """In the commands' place."""
    pretence = Pretence()
    monkeypatch.setattr(setting, "pretrain", pretence.pretrain)
    monkeypatch.setattr(setting, "finetune", pretence.finetune)
    return pretence
