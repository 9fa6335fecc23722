"""The study of Table 9, really trained, from end to end."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from wiring.studies.blocks_by_hand import check_blocks
from wiring.studies.built import MASKED, STUDIES, Built, check_pretrained, encoder_of

from fcmae.studies.grn import grn
from fcmae.training import trainer
from fcmae.training.trainer import Trainer

# Trained


def test_table_9_from_end_to_end_and_added_to(
    classes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun: dict[tuple[str, str], Built] = {}

    class Watched(Trainer):
        """A run whose task, and the weights that it began with, are remembered."""

        def __init__(self, out: Path, task: Any, *more: Any, **options: Any) -> None:
            super().__init__(out, task, *more, **options)
            state = {name: value.clone() for name, value in task.trained.state_dict().items()}
            begun[out.parent.parent.name, out.name] = Built(self, state)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "Trainer", Watched)
    scale = {"image_size": 16, "num_images": 0, "num_val_images": 0, "label_share": 1}
    scale |= {f"{part}_epochs": 1 for part in MASKED} | {f"{part}_batch_size": 4 for part in MASKED}
    options: dict[str, Any] = {
        "data": classes,
        "out": tmp_path / "study",
        "seeds": (0,),
        "set": tuple(f"{name}={value}" for name, value in scale.items()),
        "device": "cpu",
        "workers": 0,
    }
    found = grn(cases=("base", "scale"), **options)
    assert [row["name"] for row in found] == ["base", "scale"]
    runs = tmp_path / "study" / "runs"
    assert "response grn -> scale" in capsys.readouterr().err.replace("\n", " ")
    written = {path.name for path in (tmp_path / "study").iterdir()}
    assert written == {
        "figure.png", "figure.svg", "page.html", "results.csv", "results.json", "runs",
    }  # fmt: skip
    page = (tmp_path / "study" / "page.html").read_text()
    assert "not decidable at this scale" in page
    assert "83.9" in page
    before = (runs / "scale/seed-0/finetune/weights.safetensors").stat().st_mtime_ns
    again = grn(cases=("scale", "aggregate", "normalise", "grn"), **options)
    names = list(STUDIES["grn"][1])
    assert [row["name"] for row in again] == names
    assert again[:2] == found
    assert (runs / "scale/seed-0/finetune/weights.safetensors").stat().st_mtime_ns == before
    assert list(begun) == [
        (name, command) for name in names for command in ("pretrain", "finetune")
    ]
    for row in again:
        name = row["name"]
        assert 0 <= row["accuracy"] <= 1
        assert row["loss"] > 0
        assert row["unstable"] is None
        one, two = begun[name, "pretrain"], begun[name, "finetune"]
        check_trained(one, runs / name / "seed-0" / "pretrain", name)
        check_trained(two, runs / name / "seed-0" / "finetune", name)
        check_blocks(one.task.trained.decoder, "grn")
        check_pretrained(one, two)


def check_trained(built: Built, folder: Path, case: str) -> None:
    """The whole of what the case says was trained, its response too, and is what was written."""
    trained = encoder_of(built.task)
    check_blocks(trained, case)
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["name"] == ("convnext_atto" if case == "base" else "convnextv2_atto")
    assert config["recipe"]["response"] == ("grn" if case == "base" else case)
    for name, value in built.task.trained.state_dict().items():
        assert not torch.equal(value, built.first[name]), name
    written = load_file(folder / "weights.safetensors")
    assert written.keys() == trained.state_dict().keys()
    if folder.name == "pretrain":
        assert all(
            torch.equal(written[name], value) for name, value in trained.state_dict().items()
        )
    names = {name.split(".", 3)[3] for name in written if name.startswith("stages.")}
    assert {name for name in names if "gamma" in name or "beta" in name} == (
        {"gamma"} if case == "base" else {"grn.gamma", "grn.beta"}
    )
