"""Run folders as runs write them, small enough to make in a millisecond."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Lines = list[dict[str, object]]
MakeRun = Callable[..., Path]

CONFIG: dict[str, object] = {
    "command": "fcmae pretrain --data flowers/train --out runs/first",
    "created": "2026-11-23T04:00:00+00:00",
    "model": {"name": "convnextv2_atto", "in_channels": 13, "parameters": 3387400},
    "data": {"path": "/data/flowers/train", "images": 4000},
    "image_size": [64, 96],
    "real_mask_ratio": 0.6,
    "batch_size": 64,
    "epochs": 2,
    "steps": 4,
    "departures": [{"field": "batch_size", "table": 4096, "run": 64, "because": "4000 images"}],
    "recipe": {"base_learning_rate": 1.5e-4, "betas": [0.9, 0.95]},
    "versions": {"fcmae": "0.1.0"},
    "device": "cpu",
    "precision": "fp32",
}


def step(number: int, loss: float | None, **more: object) -> dict[str, object]:
    line = {"kind": "step", "step": number, "epoch": number / 2, "learning_rate": 1e-5}
    return {**line, "loss": loss, **more}


def look(epoch: int, *distances: float) -> dict[str, object]:
    blocks = [{"block": f"stages.{i}.0", "distance": d} for i, d in enumerate(distances)]
    return {"kind": "look", "epoch": epoch, "step": 2 * epoch, "diversity": blocks}


def webp(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "webp")
    return file.getvalue()


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder of the lines given; `config` is laid over a usual one."""

    def make(
        metrics: Lines = (), timing: Lines = (), config: dict[str, object] | None = None
    ) -> Path:
        (tmp_path / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
        for name, lines in (("metrics", metrics), ("timing", timing)):
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (tmp_path / f"{name}.jsonl").write_text(text)
        return tmp_path

    return make


@pytest.fixture
def full_run(make_run: MakeRun) -> Path:
    """A finished run with every part there is."""
    metrics = [
        look(0, 0.5, 0.4, 0.4, 0.3),
        step(1, 1.02),
        step(2, 0.9),
        {"kind": "epoch", "epoch": 1, "step": 2, "loss": 0.96},
        look(1, 0.5, 0.4, 0.4, 0.35),
        step(3, 0.8),
        step(4, 0.71),
        {"kind": "epoch", "epoch": 2, "step": 4, "loss": 0.755},
        look(2, 0.5, 0.4, 0.4, 0.38),
    ]
    timing = [
        {"step": n, "images_per_second": 50.0 + n, "waiting": 0.04, "seconds": 1.2 * n}
        for n in (1, 2, 3, 4)
    ]
    run = make_run(metrics, timing)
    pictures = run / "reconstructions"
    pictures.mkdir()
    (pictures / "images.json").write_text(json.dumps([{"name": "a/0.png"}, {"name": "b/1.png"}]))
    for image in (0, 1):
        for name in ("input", "masked", "epoch-0000", "epoch-0002"):
            (pictures / f"{name}-{image}.webp").write_bytes(webp(96, 64))
    (run / "unreadable.json").write_text(json.dumps([["a/broken.jpg", "image file is truncated"]]))
    return run


@pytest.fixture
def finetuned_run(make_run: MakeRun) -> Path:
    """A finished fine-tuning of three classes; its best epoch is the first."""
    metrics: Lines = [step(1, 1.1), step(2, 0.9), step(3, 0.8), step(4, 0.7)]
    for epoch, accuracy in ((1, 0.8), (2, 0.7)):
        measured = {"loss": 0.9 / epoch, "accuracy": accuracy, "top_5": None}
        average = {"loss": 1.0 / epoch, "accuracy": accuracy + 0.05, "top_5": None}
        line = {"kind": "validation", "step": 2 * epoch, "epoch": epoch, "average": average}
        metrics.append({**line, **measured})
    config = {
        "task": "finetune",
        "command": "fcmae finetune --data flowers --out runs/second",
        "data": {"path": "/data/flowers", "images": 400, "val_images": 20, "classes": 3},
        "init": "runs/first",
        "table": "Table 2",
        "label_share": 0.5,
    }
    run = make_run(metrics, [{"step": 4, "images_per_second": 50.0, "seconds": 9.0}], config)
    found = {
        "epoch": 1,
        "of": "average",
        "classes": ["daisy", "rose", "tulip"],
        "train_images": [300, 60, 40],
        "images": [10, 8, 2],
        "confusion": [[10, 0, 0], [1, 7, 0], [2, 0, 0]],
        "accuracy": 0.85,
        "top_5": None,
        "loss": 1.0,
        "calibration_error": 0.04,
        "mistakes": [
            {"name": "tulip/0.png", "label": "tulip", "predicted": "daisy", "confidence": 0.97},
            {"name": "rose/1.png", "label": "rose", "predicted": "daisy", "confidence": 0.6},
        ],
        "unreadable": [["rose/broken.jpg", "image file is truncated"]],
    }
    (run / "validation.json").write_text(json.dumps(found))
    (run / "unreadable.json").write_text(json.dumps([["daisy/empty.jpg", "empty"]]))
    (run / "mistakes").mkdir()
    (run / "mistakes" / "0.webp").write_bytes(webp(160, 160))
    return run
