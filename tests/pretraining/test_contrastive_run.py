"""Whole runs of `--method moco-v3`: what they leave, what they begin from, bad input."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from whole_runs import KINDS, STEPS, assert_same_run, lines

import fcmae
from fcmae.commands.pretrain import pretrain
from fcmae.inference.load import load_backbone
from fcmae.pretraining.task import PretrainingTask
from fcmae.sizes import SIZES

ATTO = SIZES["convnextv2_atto"]  # before it is made smaller
TINY = KINDS["moco-v3"].options
pytestmark = pytest.mark.usefixtures("tiny_models")


@pytest.fixture(scope="module")
def finished(trained: Callable[[str], Path]) -> Path:
    """A run that nothing disturbed."""
    return trained("moco-v3")


def test_a_run_leaves_what_the_contract_says(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {"config.json", "metrics.jsonl", "checkpoints", "weights.safetensors",
                     "report.html", "tensorboard"}  # fmt: skip
    assert "reconstructions" not in names
    config = json.loads((finished / "config.json").read_text())
    assert (config["task"], config["method"]) == ("pretrain", "moco-v3")
    assert config["table"] == "MoCo v3's recipe"
    assert config["chance"] == pytest.approx(0.8 * np.log(8))
    assert {d["field"] for d in config["departures"]} >= {"batch_size", "hidden_width"}
    assert "patch_size" not in config["plan"]
    assert [line["epoch"] for line in lines(finished, "look")] == [0, 1, 2, 3]
    assert [line["step"] for line in lines(finished, "step")] == list(range(1, STEPS + 1))


def test_the_smallest_model_of_the_paper_is_trained_as_well(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SIZES, "convnextv2_atto", ATTO)
    options = {**TINY, "data": str(folder), "epochs": 1, "image_size": 32}
    run = pretrain(**options, out=str(tmp_path / "run"))
    weights = load_file(run / "weights.safetensors")
    assert weights["stages.2.5.dwconv.weight"].shape == (160, 1, 7, 7)
    assert len(lines(run, "look")[-1]["diversity"]) == 12


def test_weights_are_the_queries_encoder_as_masked_pre_training_leaves_it(finished: Path) -> None:
    weights = load_file(finished / "weights.safetensors")
    model = fcmae.create_model("convnextv2_atto", num_classes=5, stem_stride=2)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert set(missing) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert not unexpected
    kept = load_file(finished / "checkpoints/last/model.safetensors")
    keys = {name: kept[f"key.encoder.{name}"] for name in weights}
    assert all(torch.equal(weights[name], kept[f"query.encoder.{name}"]) for name in weights)
    assert any(not torch.equal(weights[name], keys[name]) for name in weights)
    assert any(name.startswith("predictor.") for name in kept)
    assert {name for name in kept if "running" in name} == set()


def test_the_report_speaks_of_the_method(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "MoCo v3" in page
    assert 'id="diversity"' in page
    assert 'id="reconstructions"' not in page
    assert "norm_pix" not in page


@pytest.mark.slow  # ten seconds of it
def test_it_learns_to_tell_images_apart(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    dice = np.random.default_rng(0)
    for i in range(20):
        colour = tuple(dice.integers(0, 256, 3).tolist())
        Image.new("RGB", (32, 32), colour).save(tmp_path / "images" / f"{i}.png")
    plain = ("jitter_probability=0", "grey=0", "solarise=0,0")
    recipe = ("hidden_width=64", "projection_width=16", "base_learning_rate=0.03", *plain)
    options = {**TINY, "epochs": 8, "batch_size": 10, "image_size": 32, "set": recipe}
    run = pretrain(**options, data=str(tmp_path / "images"), out=str(tmp_path / "run"))
    losses = [line["loss"] for line in lines(run, "epoch")]
    assert losses[0] > 0.8 * 0.8 * np.log(10)  # about what guesses score
    assert losses[-1] < 0.5 * losses[0]


def test_the_keys_follow_after_each_step(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    momenta: list[float] = []
    from fcmae.models.contrastive import MomentumContrast

    before = MomentumContrast.follow

    def follow(self: MomentumContrast, momentum: float) -> None:
        momenta.append(momentum)
        before(self, momentum)

    monkeypatch.setattr(MomentumContrast, "follow", follow)
    config = json.loads((finished / "config.json").read_text())
    again = tmp_path / "again"
    pretrain(data=config["data"]["path"], out=str(again), **TINY)
    assert_same_run(finished, again)
    progress = np.arange(1, STEPS + 1) / STEPS
    assert momenta == pytest.approx(1 - 0.01 * (1 + np.cos(np.pi * progress)) / 2)


def test_recomputed_blocks_change_no_bit(finished: Path, folder: Path, tmp_path: Path) -> None:
    options = {**TINY, "data": str(folder), "out": str(tmp_path / "run")}
    assert_same_run(finished, pretrain(**options, checkpoint_blocks=True))


@pytest.mark.slow  # compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks
def test_compiled_blocks_train_alike(finished: Path, folder: Path, tmp_path: Path) -> None:
    torch.compiler.reset()
    options = {**TINY, "data": str(folder), "out": str(tmp_path / "run")}
    with torch.compiler.set_stance(force_backend="eager"):
        run = pretrain(**options, compile=True)
    # What rounding changes grows from step to step.
    for ours, theirs in zip(lines(finished, "step")[:4], lines(run, "step")[:4], strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-3)


# What it begins from, and what is done with it


def test_queries_and_keys_begin_from_other_weights(
    finished: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, torch.Tensor]] = []
    measure = PretrainingTask.measure

    def measured(self: PretrainingTask, journal: Any, step: int) -> Any:
        begun.append(copy.deepcopy(self.trained.state_dict()))
        return measure(self, journal, step)

    monkeypatch.setattr(PretrainingTask, "measure", measured)
    options = {**TINY, "data": str(folder), "epochs": 1, "init": str(finished)}
    run = pretrain(**options, out=str(tmp_path / "run"))
    for name, value in load_file(finished / "weights.safetensors").items():
        assert torch.equal(begun[0][f"query.encoder.{name}"], value)
        assert torch.equal(begun[0][f"key.encoder.{name}"], value)
    assert json.loads((run / "config.json").read_text())["init"] == str(finished)


def test_masked_pre_training_goes_on_from_it_and_back(
    finished: Path, folder: Path, tmp_path: Path
) -> None:
    masked = {**TINY, "method": "fcmae", "epochs": 1, "set": ("decoder_width=8",)}
    run = pretrain(**masked, data=str(folder), out=str(tmp_path / "run"), init=str(finished))
    assert json.loads((run / "config.json").read_text())["method"] == "fcmae"


def test_neighbours_are_measured_as_it_goes_on(folder: Path, tmp_path: Path) -> None:
    for split, images in (("train", 11), ("val", 2)):
        for name in ("ant", "bee"):
            (tmp_path / "classes" / split / name).mkdir(parents=True)
            for i in range(images):
                path = tmp_path / "classes" / split / name / f"{split}{i}.png"
                Image.new("RGB", (40, 40), (20 * i, 90, 200 * (name == "ant"))).save(path)
    probe = {"probe_data": str(tmp_path / "classes"), "probe_every": 1}
    options = {**TINY, "data": str(folder), "epochs": 1, **probe}
    run = pretrain(**options, out=str(tmp_path / "run"))
    assert [line["epoch"] for line in lines(run, "probe")] == [0, 1]
    assert 'id="neighbours"' in (run / "report.html").read_text()


@pytest.mark.parametrize("channels", [1, 13])
def test_images_of_other_channels(channels: int, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0)
    for i in range(4):
        pixels = noise.integers(0, 255, (channels, 40, 40), np.uint8)
        np.save(tmp_path / "images" / f"{i}.npy", pixels)
    options = {**TINY, "epochs": 1, "batch_size": 2, "in_channels": channels}
    run = pretrain(**options, data=str(tmp_path / "images"), out=str(tmp_path / "run"))
    assert len(lines(run, "step")) == 2


def test_what_reads_encoders_reads_this_one(finished: Path) -> None:
    assert load_backbone(str(finished)).description.image_size == (32, 48)


# Bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "moco"}, "unknown method 'moco'.*moco-v3"),
        ({"mask_ratio": 0.6}, "mask_ratio means nothing for method moco-v3.*leave it out"),
        ({"patch_size": 32}, "patch_size means nothing for method moco-v3"),
        ({"micro_batch_size": 4}, "micro_batch_size 4: .*all 8 images.*--checkpoint-blocks"),
        ({"micro_batch_size": 0}, "micro_batch_size 0"),
        ({"batch_size": 1}, "batch size 1"),
        ({"image_size": 40}, "multiples of 16"),
        ({"set": ("norm_pix=true",)}, "unknown field 'norm_pix'"),
        ({"set": ("temperature=-1",)}, "temperature -1"),
    ],
)
def test_bad_input_is_refused_in_words(
    folder: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    for dry_run in (True, False):
        with pytest.raises(ValueError, match=words):
            pretrain(
                **{**TINY, **options}, data=str(folder), out=str(tmp_path / "run"), dry_run=dry_run
            )
    assert not (tmp_path / "run").exists()


def test_a_run_of_the_other_method_is_not_gone_on_with(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"method fcmae: the run in .* is of moco-v3"):
        pretrain(out=str(finished), resume=True, method="fcmae")
    older = shutil.copytree(finished, tmp_path / "older")
    config = json.loads((older / "config.json").read_text())
    del config["options"]["method"]
    (older / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"method moco-v3: the run in .* is of fcmae"):
        pretrain(out=str(older), resume=True, method="moco-v3")


def test_a_loss_that_is_no_number_names_image_and_layer(folder: Path, tmp_path: Path) -> None:
    hot = ("base_learning_rate=1e32", "warmup_epochs=0", "hidden_width=24")
    options = {**TINY, "set": hot, "data": str(folder), "out": str(tmp_path / "run")}
    with pytest.raises(RuntimeError, match=r"first layer that is not finite: query\.encoder\."):
        pretrain(**options)
    found = json.loads((tmp_path / "run" / "non_finite.json").read_text())
    assert len(found["images"]) == 8


def test_a_dry_run_says_what_would_be_done(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {name: value for name, value in TINY.items() if name != "epochs"}
    pretrain(**options, data=str(folder), out=str(tmp_path / "run"), dry_run=True)
    said = " ".join(capsys.readouterr().err.split())
    assert "MoCo v3's recipe; departs in: batch_size 4096 -> 8" in said
    assert "300 epochs x 3" in said
    assert "1.66 by chance" in said
    assert "measured on 8 images of the first step" in said
    assert not (tmp_path / "run").exists()
