"""Whole masked runs: what they leave behind, what they go on from, and every bad input."""

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch._inductor.exc import InvalidCxxCompiler
from whole_runs import KINDS, STEPS, assert_same_run, lines

import fcmae
from fcmae.commands.pretrain import pretrain
from fcmae.training import checkpoint
from fcmae.training.signals import Interrupted

TINY = KINDS["fcmae"].options
pytestmark = pytest.mark.usefixtures("tiny_models")


@pytest.fixture(scope="module")
def finished(trained: Callable[[str], Path]) -> Path:
    """A run that nothing disturbed."""
    return trained("fcmae")


def test_a_run_leaves_what_the_contract_says(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "weights.safetensors",
        "report.html",
        "tensorboard",
    }
    assert (finished / "checkpoints" / "last" / "state.json").exists()
    assert any((finished / "tensorboard").iterdir())
    config = json.loads((finished / "config.json").read_text())
    assert {d["field"] for d in config["departures"]} >= {
        "batch_size",
        "training_epochs",
        "stem_stride",
    }
    assert config["plan"]["recipe"]["decoder_width"] == 16


def test_metrics_have_one_line_a_step_and_an_epoch(finished: Path) -> None:
    assert [line["step"] for line in lines(finished, "step")] == list(range(1, STEPS + 1))
    assert [line["epoch"] for line in lines(finished, "epoch")] == [1, 2, 3]
    steps = lines(finished, "step")
    for epoch, line in enumerate(lines(finished, "epoch")):
        mean = sum(step["loss"] for step in steps[3 * epoch : 3 * epoch + 3]) / 3
        assert line["loss"] == pytest.approx(mean)
    looks = lines(finished, "look")
    assert looks[0]["epoch"] == 0
    assert looks[-1]["epoch"] == 3
    assert len(looks[0]["diversity"]) == 4


def test_learning_rate_warms_up_and_falls(finished: Path) -> None:
    rates = [line["learning_rate"] for line in lines(finished, "step")]
    peak = 0.01 * 8 / 256
    assert rates[0] == 0
    assert rates[2] == pytest.approx(peak)  # half an epoch of three steps, rounded: two steps
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_weights_load_into_a_classifier(finished: Path) -> None:
    model = fcmae.create_model("convnextv2_atto", num_classes=5, stem_stride=2)
    missing, unexpected = model.load_state_dict(
        load_file(finished / "weights.safetensors"), strict=False
    )
    assert set(missing) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert not unexpected
    with safe_open(finished / "weights.safetensors", "pt") as file:
        assert json.loads(file.metadata()["fcmae"])["model"] == "convnextv2_atto"


def test_pictures_of_every_look(finished: Path) -> None:
    pictures = {path.name for path in (finished / "reconstructions").iterdir()}
    epochs = [line["epoch"] for line in lines(finished, "look")]
    for i in range(6):
        assert {f"input-{i}.webp", f"masked-{i}.webp"} <= pictures
        assert {f"epoch-{epoch:04d}-{i}.webp" for epoch in epochs} <= pictures


# Bad input


@pytest.fixture
def start(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    def start(**options: Any) -> Path:
        return pretrain(**{**TINY, "data": str(folder), "out": str(tmp_path / "run"), **options})

    return start


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "/no/such/folder"}, "/no/such/folder"),
        ({"data": None}, "data is missing"),
        ({"image_size": 40}, "the nearest: 32 or 48"),
        ({"image_size": "40 by 40"}, "HEIGHTxWIDTH"),
        ({"mask_ratio": 0.99}, "leaves none of the 6 patches visible"),
        ({"mask_ratio": 1e-17}, "masks none of the 6 patches"),
        ({"mask_ratio": 1.5}, "between 0 and 1"),
        ({"model": "convnextv2_atom"}, "did you mean 'convnextv2_atto'"),
        ({"set": ("weight_decy=1",)}, "did you mean 'weight_decay'"),
        ({"batch_size": 31}, "more than the 30 images"),
        ({"epochs": 0}, "epochs 0"),
        ({"precision": "fp8"}, "precision"),
        ({"device": "gpu"}, "device"),
        ({"statistics": "imagenet", "in_channels": 1}, "use data"),
        ({"patch_size": 24}, "patch_size 24|multiple"),
        ({"resume": True}, "no run to resume"),
        ({"micro_batch_size": 0}, "micro_batch_size 0"),
        ({"workers": -1}, "workers -1"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint_minutes nan"),
        ({"checkpoint_minutes": -1.0}, "checkpoint_minutes -1"),
        ({"seed": -1}, "seed -1"),
        ({"image_size": "\u00b2"}, "HEIGHTxWIDTH"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_words(
    start: Callable[..., Path], tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    for dry_run in (True, False):
        with pytest.raises(ValueError, match=words):
            start(**options, dry_run=dry_run)
    assert not (tmp_path / "run").exists()


def test_bad_input_deletes_no_run(finished: Path, tmp_path: Path, folder: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(ValueError, match="workers -1"):
        pretrain(data=str(folder), out=str(run), overwrite=True, **{**TINY, "workers": -1})
    (tmp_path / "list.txt").write_text("missing.png")
    with pytest.raises(ValueError, match="missing"):
        pretrain(data=str(tmp_path / "list.txt"), out=str(run), overwrite=True, batch_size=1)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_run_inside_its_data_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    for out in (folder / "run", tmp_path / "link" / "run"):
        with pytest.raises(ValueError, match="lies inside data"):
            pretrain(data=str(folder), out=str(out), **TINY)


def test_a_home_folder_may_be_named_by_its_sign(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pretrain(data=str(folder), out="~/run", dry_run=True, **TINY) == tmp_path / "run"


def test_a_folder_without_images(start: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.md").write_text("nothing to see")
    with pytest.raises(ValueError, match="empty"):
        start(data=str(tmp_path / "empty"))


def test_a_run_is_never_written_over_by_accident(finished: Path, folder: Path) -> None:
    before = (finished / "metrics.jsonl").read_bytes()
    with pytest.raises(ValueError, match="--resume goes on with it, --overwrite deletes it"):
        pretrain(data=str(folder), out=str(finished), **TINY)
    assert (finished / "metrics.jsonl").read_bytes() == before


def test_resuming_otherwise_names_every_difference(finished: Path, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)seed.*0.*3.*mask_ratio.*0\.6.*0\.75"):
        pretrain(out=str(finished), resume=True, mask_ratio=0.75, seed=3)


def test_a_default_that_is_written_out_counts_as_much_as_anything_else(finished: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)stem_stride.*image_size.*\[32, 48\].*\[224, 224\]"):
        pretrain(out=str(finished), resume=True, image_size=224, stem_stride=4)
    pretrain(out=str(finished), resume=True, mask_ratio=0.6, precision="auto", dry_run=True)


def test_how_images_are_decoded_is_kept_and_not_changed_on_resuming(finished: Path) -> None:
    config = json.loads((finished / "config.json").read_text())
    assert config["decoding"] == config["plan"]["decoding"] == "fast"
    with pytest.raises(ValueError, match=r"decoding: the run has 'fast', now 'exact'"):
        pretrain(out=str(finished), resume=True, decoding="exact")
    with pytest.raises(ValueError, match="unknown decoding 'quick'"):
        pretrain(out=str(finished), resume=True, decoding="quick")


def test_settings_are_named_before_what_they_lead_to(finished: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)weight_decay.*0\.05.*0\.1"):
        pretrain(out=str(finished), resume=True, set=(*TINY["set"], "weight_decay=0.1"))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks
def test_a_resumed_run_says_what_makes_it_equal_up_to_rounding_only(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(out=str(finished), resume=True, micro_batch_size=8, dry_run=True)
    assert "micro_batch_size 3 -> 8: equal" in capsys.readouterr().err
    with torch.compiler.set_stance(force_backend="eager"):
        pretrain(out=str(finished), resume=True, compile=True, dry_run=True)
    assert "compile False -> True: equal" in capsys.readouterr().err
    pretrain(out=str(finished), resume=True, workers=1, dry_run=True)
    assert "rounding" not in capsys.readouterr().err


def test_data_that_moved_are_the_same_data(finished: Path, folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    pretrain(out=str(finished), data=str(moved), resume=True, dry_run=True)
    next(moved.rglob("*.png")).unlink()
    with pytest.raises(ValueError, match=r"(?s)number of images: the run has 30, now 29"):
        pretrain(out=str(finished), data=str(moved), resume=True, dry_run=True)


def test_resuming_on_other_files_is_refused(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "list.txt"
    names = sorted(str(path) for path in folder.rglob("*.png"))
    data.write_text("\n".join(names[:16]))
    options = {**TINY, "epochs": 1, "out": str(tmp_path / "run")}
    pretrain(data=str(data), **options)
    data.write_text("\n".join(names[1:17]))
    with pytest.raises(ValueError, match="the files in the data: some were"):
        pretrain(out=str(tmp_path / "run"), resume=True)


def test_a_dry_run_touches_nothing(start: Callable[..., Path], tmp_path: Path) -> None:
    start(dry_run=True)
    assert not (tmp_path / "run").exists()


def test_unreadable_files_are_named(folder: Path, tmp_path: Path) -> None:
    names = sorted(str(path) for path in folder.rglob("*.png"))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    data = tmp_path / "list.txt"
    data.write_text("\n".join([*names, "broken.png"]))
    run = pretrain(
        data=str(data), out=str(tmp_path / "run"), **{**TINY, "batch_size": 31, "epochs": 1}
    )
    assert [name for name, _ in json.loads((run / "unreadable.json").read_text())] == ["broken.png"]
    assert "broken.png" in (run / "report.html").read_text()


def test_names_may_be_of_any_bytes(folder: Path, tmp_path: Path) -> None:
    data = shutil.copytree(folder, tmp_path / "data")
    odd = os.fsdecode(b"\xe9t\xe9.png")  # "été" in Latin-1
    (data / odd).write_bytes(b"not a picture")
    run = pretrain(data=str(data), out=str(tmp_path / "run"), **{**TINY, "epochs": 1})
    pretrain(out=str(run), resume=True)
    assert "\\udce9t\\udce9.png" in (run / "report.html").read_text()


def test_too_many_unreadable_files_stop_the_run(start: Callable[..., Path], tmp_path: Path) -> None:
    data = tmp_path / "half"
    data.mkdir()
    for i in range(10):
        (data / f"{i}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 10 images .*\n.*0\.png: empty file"):
        start(data=str(data))
    assert not (tmp_path / "run").exists()


def test_the_whole_list_of_unreadable_files_is_written(
    start: Callable[..., Path], tmp_path: Path, folder: Path
) -> None:
    data = tmp_path / "list.txt"
    names = sorted(str(path) for path in folder.rglob("*.png"))
    for i in range(0, 40, 5):  # no more than the loader steps over
        names[i:i] = [f"missing-{i + j}.png" for j in range(4)]
    data.write_text("\n".join(names))
    with pytest.raises(ValueError, match=r"(?s)unreadable, more than 5%.*all of them are named in"):
        start(data=str(data), batch_size=60, micro_batch_size=60)
    listed = json.loads((tmp_path / "run" / "unreadable.json").read_text())
    assert len(listed) > 20
    assert all(name.startswith("missing-") and reason == "missing" for name, reason in listed)


def test_a_full_disk_leaves_the_checkpoint_before(
    start: Callable[..., Path], tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = safetensors.torch.save_file, []

    def full(tensors: object, path: Path, **rest: Any) -> None:
        calls.append(path)
        if len(calls) > 8:
            Path(path).write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path, **rest)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="make room and go on with --resume"):
        start(checkpoint_minutes=0.0)
    monkeypatch.undo()
    pretrain(out=str(tmp_path / "run"), resume=True, checkpoint_minutes=5)
    assert_same_run(finished, tmp_path / "run")


def test_a_loss_that_is_no_number_is_explained(start: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"step \d: the .* is (nan|inf)"):
        start(set=("base_learning_rate=1e32", "warmup_epochs=0", "decoder_width=16"))
    found = json.loads((tmp_path / "run" / "non_finite.json").read_text())
    assert found["layer"].startswith(("encoder", "decoder"))
    assert found["images"]
    assert found["step"] >= 1
    kept = checkpoint.load(tmp_path / "run" / "checkpoints", torch.device("cpu"))
    assert kept is not None
    assert kept.state["step"] == found["step"]
    assert all(value.isfinite().all() for value in kept.model.values())


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks
def test_compiling_decides_nothing_but_rounding_and_says_how_long_it_took(
    finished: Path,
    start: Callable[..., Path],
    backend: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.compiler.reset()
    with torch.compiler.set_stance(force_backend=backend):
        run = start(compile=True, checkpoint_blocks=True)
    said = capsys.readouterr().err
    assert said.count("compiling, which") == said.count("compiled: the first step took") == 1
    for ours, theirs in zip(lines(finished, "step"), lines(run, "step"), strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-4)
    assert load_file(run / "weights.safetensors").keys() == (
        load_file(finished / "weights.safetensors").keys()
    )


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks
def test_compiled_blocks_hide_no_layer_from_the_explanation(
    start: Callable[..., Path], tmp_path: Path
) -> None:
    torch.compiler.reset()
    with (
        torch.compiler.set_stance(force_backend="eager"),
        pytest.raises(RuntimeError, match=r"step \d: the .* is (nan|inf)"),
    ):
        start(set=("base_learning_rate=1e32", "warmup_epochs=0", "decoder_width=16"), compile=True)
    found = json.loads((tmp_path / "run" / "non_finite.json").read_text())
    assert found["layer"].startswith(("encoder.downsample", "encoder.stages.0.0."))


def test_a_machine_that_cannot_compile_is_said_before_anything_is_done(
    start: Callable[..., Path], tmp_path: Path
) -> None:
    def nothing_to_compile_with(*_: object) -> None:
        raise InvalidCxxCompiler

    torch.compiler.reset()
    with (
        torch.compiler.set_stance(force_backend=nothing_to_compile_with),
        pytest.raises(
            ValueError, match=r"compile: this machine cannot compile for cpu.*leave --comp"
        ),
    ):
        start(compile=True)
    assert not (tmp_path / "run").exists()


def test_it_goes_on_from_weights_with_a_fresh_decoder(
    finished: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = shutil.copy(finished / "weights.safetensors", tmp_path / "weights.safetensors")
    still = ("base_learning_rate=1e-12", "decoder_width=16")
    options = {**TINY, "epochs": 1, "set": still, "out": str(tmp_path / "run")}
    run = pretrain(data=str(folder), init=str(weights), **options)
    said = capsys.readouterr().err
    assert "loaded" in said
    assert f"init scratch -> {weights}" in said
    ours, theirs = load_file(run / "weights.safetensors"), load_file(weights)
    assert all(torch.allclose(ours[name], theirs[name], rtol=0, atol=1e-6) for name in theirs)
    Path(weights).unlink()
    pretrain(out=str(run), resume=True)  # does not read them again


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"init": "/no/such/run"}, "/no/such/run"),
        ({"model": "convnextv2_femto"}, "the file is convnextv2_atto, the model convnextv2_femto"),
        ({"in_channels": 1}, "the file is .* in_channels 3, the model of 1"),
    ],
)
def test_weights_of_another_model_are_refused_before_anything_is_deleted(
    finished: Path, folder: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    given = {**TINY, "data": str(folder), "init": str(finished), "out": str(run)}
    with pytest.raises(ValueError, match=said):
        pretrain(**(given | options), overwrite=True)
    assert (run / "metrics.jsonl").exists()


def test_one_and_thirteen_channels(folder: Path, tmp_path: Path) -> None:
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 50, 13), np.uint8)
        np.save(arrays / f"{i}.npy", pixels)
    options = {**TINY, "epochs": 1, "batch_size": 6}
    many = pretrain(data=str(arrays), out=str(tmp_path / "many"), in_channels=13, **options)
    assert load_file(many / "weights.safetensors")["downsample_layers.0.0.weight"].shape == (
        8,
        13,
        2,
        2,
    )
    one = pretrain(data=str(folder), out=str(tmp_path / "one"), in_channels=1, **options)
    assert len(json.loads((one / "config.json").read_text())["statistics"]["mean"]) == 1


def test_interrupted_is_a_system_exit() -> None:
    assert Interrupted(signal.SIGTERM).code == 143
    assert Interrupted(signal.SIGINT).code == 130
