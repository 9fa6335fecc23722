"""Whole fine-tuning runs: what they leave behind, what they start from, resuming, bad input."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from whole_runs import KINDS, lines

import fcmae
from fcmae.commands.finetune import finetune
from fcmae.finetuning.validation import validate

TINY = KINDS["finetune"].options
pytestmark = pytest.mark.usefixtures("tiny_models")


@pytest.fixture(scope="module")
def classes(coloured: Path) -> Path:
    return coloured


@pytest.fixture(scope="module")
def finished(trained: Callable[[str], Path]) -> Path:
    """A run that nothing disturbed."""
    return trained("finetune")


# What it leaves


def test_a_run_leaves_what_the_contract_says(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "config.json", "metrics.jsonl", "checkpoints", "weights.safetensors", "best.safetensors",
        "report.html", "tensorboard", "validation.json",
    }  # fmt: skip
    config = json.loads((finished / "config.json").read_text())
    assert config["task"] == "finetune"
    assert config["table"] == "Table 2"
    assert config["data"]["classes"] == 3
    assert {d["field"] for d in config["departures"]} >= {"init", "batch_size", "mixup"}


def test_every_epoch_is_validated_on_every_image(finished: Path) -> None:
    seen = lines(finished, "validation")
    assert [line["epoch"] for line in seen] == [1, 2, 3]
    assert all(0 <= line["accuracy"] <= 1 and line["top_5"] is None for line in seen)
    best = json.loads((finished / "validation.json").read_text())
    assert best["images"] == [4, 4, 4]
    assert best["train_images"] == [10, 10, 10]
    accuracies = [line["average"]["accuracy"] for line in seen]
    assert best["accuracy"] == max(accuracies)
    assert best["epoch"] == accuracies.index(max(accuracies)) + 1
    right = sum(best["confusion"][i][i] for i in range(3))
    assert right / 12 == pytest.approx(best["accuracy"])
    assert len(best["mistakes"]) == 12 - right
    confidences = [mistake["confidence"] for mistake in best["mistakes"]]
    assert confidences == sorted(confidences, reverse=True)
    pictures = {path.name for path in (finished / "mistakes").iterdir()}
    assert pictures == {f"{rank}.webp" for rank in range(len(best["mistakes"]))}


def test_weights_say_what_they_are_of_and_load_strictly(finished: Path) -> None:
    for name in ("weights", "best"):
        with safe_open(finished / f"{name}.safetensors", "pt") as file:
            described = json.loads(file.metadata()["fcmae"])
        assert described["classes"] == ["blue", "green", "red"]
        assert described["image_size"] == [32, 32]
        model = fcmae.create_model("convnextv2_atto", num_classes=3, stem_stride=2)
        model.load_state_dict(load_file(finished / f"{name}.safetensors"))


def test_what_is_kept_is_the_average(finished: Path) -> None:
    kept = load_file(finished / "checkpoints/last/model.safetensors")
    weights = load_file(finished / "weights.safetensors")
    for name, value in weights.items():
        assert torch.equal(kept[f"average.{name}"], value)
    assert any(not torch.equal(kept[f"model.{name}"], value) for name, value in weights.items())


def test_learning_shows(classes: Path, tmp_path: Path) -> None:
    # RandAugment inverts colours, which is all that these classes differ in.
    calm = ("rand_augment=0,0", "random_erasing=0", "drop_path=0", "base_learning_rate=0.001")
    options = {**TINY, "epochs": 12, "set": calm}
    run = finetune(data=str(classes), out=str(tmp_path / "run"), **options)
    assert max(line["accuracy"] for line in lines(run, "validation")) >= 0.9


# What it starts from


@pytest.fixture(scope="module")
def pretrained(tiny_models: None, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fcmae.pretrain(
        data=str(folder),
        out=str(tmp_path_factory.mktemp("runs") / "pretrained"),
        epochs=1,
        batch_size=8,
        image_size=32,
        stem_stride=2,
        statistics="data",
        set=("decoder_width=8",),
        workers=0,
        device="cpu",
    )


def test_from_a_pre_training_run_it_takes_weights_size_and_statistics(
    classes: Path, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A rate of next to nothing: the backbone is still the one that it started from.
    options = {"epochs": 1, "batch_size": 8, "workers": 0, "device": "cpu"}
    run = finetune(
        data=str(classes),
        out=str(tmp_path / "run"),
        init=str(pretrained),
        set=("base_learning_rate=1e-12", "minimum_learning_rate=0", "ema=0"),
        **options,
    )
    config = json.loads((run / "config.json").read_text())
    assert config["image_size"] == [32, 32]
    assert config["model"]["stem_stride"] == 2
    before = json.loads((pretrained / "config.json").read_text())["statistics"]
    assert config["statistics"] == before
    ours, theirs = (load_file(place / "weights.safetensors") for place in (run, pretrained))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-6)
    said = capsys.readouterr().err
    assert "missing" in said
    assert "each at 0.9 of the next" in said


def test_a_head_is_never_taken_over(classes: Path, finished: Path, tmp_path: Path) -> None:
    run = finetune(
        data=str(classes),
        out=str(tmp_path / "run"),
        init=str(finished / "best.safetensors"),
        epochs=1,
        batch_size=8,
        set=("base_learning_rate=1e-12", "minimum_learning_rate=0", "ema=0"),
        workers=0,
        device="cpu",
    )
    before, after = load_file(finished / "best.safetensors"), load_file(run / "best.safetensors")
    assert torch.allclose(before["norm.weight"], after["norm.weight"])
    assert after["head.weight"].abs().max() < 1e-3 < before["head.weight"].abs().max()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "convnextv2_femto"}, "model convnextv2_femto: the weights .* convnextv2_atto"),
        ({"in_channels": 1}, "in_channels 1: the weights .* in_channels 3"),
        ({"stem_stride": 4}, "stem_stride 4: the weights .* stem_stride 2"),
        ({"init": "/no/such/file"}, "/no/such/file"),
        ({"key": "model_ema"}, "model_ema"),
    ],
)
def test_weights_of_another_kind_are_refused(
    classes: Path, pretrained: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    given = {"init": str(pretrained), "data": str(classes), "out": str(tmp_path / "run")}
    with pytest.raises(ValueError, match=said):
        finetune(**(given | options))
    assert not (tmp_path / "run").exists()


# Resuming


def test_killed_before_its_first_checkpoint_it_begins_from_the_weights_again(
    classes: Path, pretrained: Path, tmp_path: Path
) -> None:
    still = ("base_learning_rate=1e-12", "minimum_learning_rate=0", "ema=0")
    options = {"epochs": 1, "batch_size": 8, "set": still, "workers": 0, "device": "cpu"}
    run = finetune(data=str(classes), init=str(pretrained), out=str(tmp_path / "run"), **options)
    before = (run / "weights.safetensors").read_bytes()
    shutil.rmtree(run / "checkpoints")
    finetune(out=str(run), resume=True)
    assert (run / "weights.safetensors").read_bytes() == before
    # The checkpoint that is there now is of the run that this one deletes.
    finetune(data=str(classes), init=str(pretrained), out=str(run), overwrite=True, **options)
    assert (run / "weights.safetensors").read_bytes() == before


def test_resumed_weights_need_not_be_there(classes: Path, pretrained: Path, tmp_path: Path) -> None:
    weights = shutil.copy(pretrained / "weights.safetensors", tmp_path / "weights.safetensors")
    options = {"epochs": 1, "batch_size": 8, "workers": 0, "device": "cpu"}
    run = finetune(data=str(classes), init=str(weights), out=str(tmp_path / "run"), **options)
    before = (run / "weights.safetensors").read_bytes()
    Path(weights).unlink()
    finetune(out=str(run), resume=True)
    assert (run / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("micro_batch_size", [2, 8])
def test_micro_batches_decide_nothing_but_rounding(
    finished: Path, classes: Path, tmp_path: Path, micro_batch_size: int
) -> None:
    options = {**TINY, "micro_batch_size": micro_batch_size, "out": str(tmp_path / "run")}
    run = finetune(data=str(classes), **options)  # with mixup, erasing and drop path
    for ours, theirs in zip(lines(finished, "step"), lines(run, "step"), strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-4)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks
def test_compiling_decides_nothing_but_rounding(
    finished: Path, classes: Path, tmp_path: Path
) -> None:
    torch.compiler.reset()
    with torch.compiler.set_stance(force_backend="aot_eager"):
        run = finetune(data=str(classes), out=str(tmp_path / "run"), compile=True, **TINY)
    for ours, theirs in zip(lines(finished, "step"), lines(run, "step"), strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-4)


def test_a_run_of_another_task_is_not_resumed(finished: Path, pretrained: Path) -> None:
    with pytest.raises(ValueError, match=r"a run of finetune, not of pretrain.*fcmae finetune"):
        fcmae.pretrain(out=str(finished), resume=True)
    with pytest.raises(ValueError, match=r"a run of pretrain, not of finetune.*fcmae pretrain"):
        finetune(out=str(pretrained), resume=True)


def test_a_state_that_was_changed_is_refused_in_words(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "checkpoints/last/state.json").write_text("{}")
    with pytest.raises(ValueError, match=r"its state\.json lacks 'step'"):
        finetune(out=str(run), resume=True)


def test_resuming_otherwise_names_every_difference(finished: Path) -> None:
    said = r"(?s)epochs: .* 3, now 100.*seed: .* 0, now 3.*precision: .* 'fp32', now 'bf16'"
    with pytest.raises(ValueError, match=said):
        finetune(out=str(finished), resume=True, epochs=100, seed=3, precision="bf16")


# Stopping early, shares of labels


def test_a_run_without_progress_stops_early_and_is_finished(classes: Path, tmp_path: Path) -> None:
    still = ("base_learning_rate=1e-12", "minimum_learning_rate=0", "ema=0")
    run = finetune(
        data=str(classes),
        out=str(tmp_path / "run"),
        **{**TINY, "epochs": 9, "set": still},
        patience=2,
    )
    assert len(lines(run, "validation")) == 3  # the first is the best
    assert [line["epoch"] for line in lines(run, "stop")] == [3]
    before = (run / "metrics.jsonl").read_bytes()
    finetune(out=str(run), resume=True)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_share_of_the_labels(classes: Path, tmp_path: Path) -> None:
    options = {**TINY, "epochs": 1, "batch_size": 4}
    run = finetune(data=str(classes), out=str(tmp_path / "run"), label_share=0.4, **options)
    assert json.loads((run / "validation.json").read_text())["train_images"] == [4, 4, 4]
    fields = json.loads((run / "config.json").read_text())["departures"]
    assert {"label_share"} <= {departure["field"] for departure in fields}


# Bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": None}, "data is missing"),
        ({"image_size": 8}, "at least 16, the total stride"),
        ({"micro_batch_size": 3}, "micro_batch_size 3.*must be even"),
        ({"batch_size": 1}, "batch size 1: mixup and cutmix need pairs"),
        ({"set": ("minimum_learning_rate=1",)}, "minimum_learning_rate 1 is above the peak"),
        ({"set": ("rand_augment=0,0.5",)}, "rand_augment"),
        ({"label_share": 0.0}, "label share 0"),
        ({"model": "convnextv2_atom"}, "did you mean 'convnextv2_atto'"),
        ({"batch_size": 31}, "batch size 31"),
        ({"stage": "22k"}, "no column at stage"),
        ({"workers": -1}, "workers -1"),
        ({"resume": True}, "no run to resume"),
    ],
)
def test_bad_input_is_refused_in_words(
    classes: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        finetune(**{**TINY, "data": str(classes), "out": str(tmp_path / "run"), **options})
    assert not (tmp_path / "run").exists()


def test_images_of_16_bits_are_named_before_anything_is_written(
    classes: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(classes, tmp_path / "data")
    for i, path in enumerate((data / "train").rglob("*.png")):
        pixels = np.random.default_rng(i).integers(0, 1 << 16, (40, 50), np.uint16)
        Image.fromarray(pixels).save(path)
    with pytest.raises(ValueError, match=r"8 bits, and blue/.*\.png has more.*rand_augment=0,0"):
        finetune(data=str(data), out=str(tmp_path / "run"), in_channels=1, **TINY)
    assert not (tmp_path / "run").exists()
    calm = {**TINY, "epochs": 1, "set": ("rand_augment=0,0",)}
    finetune(data=str(data), out=str(tmp_path / "run"), in_channels=1, **calm)


def test_weights_of_13_channels_without_statistics_are_measured_for(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(4):
                pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 13), np.uint8)
                np.save(tmp_path / split / name / f"{i}.npy", pixels)
    model = fcmae.create_model("convnextv2_atto", num_classes=5, in_channels=13, stem_stride=2)
    fcmae.save_weights(model, tmp_path / "weights.safetensors")
    run = finetune(
        data=str(tmp_path),
        init=str(tmp_path / "weights.safetensors"),
        out=str(tmp_path.parent / "run13"),
        image_size=32,
        epochs=1,
        batch_size=4,
        workers=0,
        device="cpu",
    )
    assert len(json.loads((run / "config.json").read_text())["statistics"]["mean"]) == 13


def test_classes_that_differ_are_named(classes: Path, tmp_path: Path) -> None:
    data = shutil.copytree(classes, tmp_path / "data")
    shutil.rmtree(data / "val" / "red")
    with pytest.raises(ValueError, match="val lacks 1 of the classes: red"):
        finetune(data=str(data), out=str(tmp_path / "run"), **TINY)


def test_a_dry_run_says_it_all_and_touches_nothing(
    classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finetune(data=str(classes), out=str(tmp_path / "run"), dry_run=True, **TINY)
    said = " ".join(capsys.readouterr().err.split())
    assert "30 images of 3 classes, 10 to 10 a class; 12 to validate on" in said
    assert "Table 2; departs in: init FCMAE -> scratch" in said
    assert not (tmp_path / "run").exists()


def test_files_that_cannot_be_read_are_named_and_mistakes_that_are_gone_have_no_picture(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(classes, tmp_path / "data")
    (data / "val/blue/val1.png").write_bytes(b"")
    shutil.copy(data / "val/red/val0.png", data / "val/blue/odd.png")  # of two alike, one is wrong

    def validate_and_lose(*models: Any, **options: Any) -> Any:
        found = validate(*models, **options)
        for path in (data / "val").rglob("*.png"):
            path.unlink()
        return found

    monkeypatch.setattr("fcmae.finetuning.task.validate", validate_and_lose)
    run = finetune(data=str(data), out=str(tmp_path / "run"), **{**TINY, "epochs": 1})
    best = json.loads((run / "validation.json").read_text())
    assert best["unreadable"] == [["blue/val1.png", "empty file"]]
    assert best["mistakes"]
    assert not list((run / "mistakes").iterdir())
    assert (run / "report.html").exists()


def test_an_imbalance_is_pointed_out(
    classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(classes, tmp_path / "data")
    for i in range(8):
        (data / f"train/red/train{i}.png").unlink()
    finetune(data=str(data), out=str(tmp_path / "run"), dry_run=True, **TINY)
    assert "imbalance" in capsys.readouterr().err
