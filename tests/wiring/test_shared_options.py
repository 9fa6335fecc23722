"""What trainings of every kind share: first weights by key, precision, blocks, digests, looks."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from wiring.places import batch, is_normalised
from wiring.small import BATCH, TRAIN_IMAGES, begun, built, save_weights

import fcmae
from fcmae.images import Batch, Decoded, Pair, channel_statistics, open_labelled
from fcmae.models.layers import Block
from fcmae.training.journal import Silence
from fcmae.training.trainer import Trainer

KINDS = ("fcmae", "moco-v3", "finetune")
SMALL = ("hidden_width=12", "projection_width=6")
USUAL: dict[str, Any] = {
    "epochs": 4, "batch_size": BATCH, "image_size": "32x48", "stem_stride": 2, "workers": 0,
    "device": "cpu",
}  # fmt: skip
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Start = Callable[..., Any]


def options_of(kind: str, pictures: Path, classes: Path, **options: Any) -> dict[str, Any]:
    """Of a kind's command; None leaves an option out."""
    own: dict[str, Any] = {"data": str(classes if kind == "finetune" else pictures)}
    if kind != "finetune":
        own["method"] = kind
    if kind == "moco-v3":
        options["set"] = (*SMALL, *options.get("set", ()))
    return {name: value for name, value in (USUAL | own | options).items() if value is not None}


def command_of(kind: str) -> Callable[..., Path]:
    return fcmae.finetune if kind == "finetune" else fcmae.pretrain


@pytest.fixture
def begin(pictures: Path, classes: Path, tmp_path: Path) -> Start:
    """Runs that are not trained, with place and batching."""

    def begin(kind: str, **options: Any) -> Any:
        options = options_of(kind, pictures, classes, **options)
        return begun(command_of(kind), tmp_path / "run", **options)

    return begin


@pytest.fixture
def build(begin: Start) -> Start:
    """Their tasks alone."""
    return lambda kind, **options: begin(kind, **options).task


def encoder_of(task: Any) -> Any:
    trained = task.trained
    if hasattr(trained, "query"):
        return trained.query.encoder
    return getattr(trained, "encoder", trained)


# First weights


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stem_stride", [1, 2])  # 1: what is read of a model must be of the key's
def test_the_key_chooses_the_first_weights(
    build: Start, kind: str, stem_stride: int, encoder: Path, tmp_path: Path
) -> None:
    wanted = load_file(encoder)
    others = load_file(save_weights(tmp_path / "other.safetensors", stem_stride=stem_stride))
    states = {"model": {name: value + 1 for name, value in others.items()}, "model_ema": wanted}
    torch.save(states, tmp_path / "both.pth")
    for key in ("model_ema", None)[:stem_stride]:  # without a key it is the model
        task = build(kind, init=str(tmp_path / "both.pth"), key=key)
        ours = encoder_of(task).state_dict()
        expected = states[key or "model"]
        assert all(torch.equal(ours[name], value) for name, value in expected.items())


def test_size_and_statistics_are_those_of_the_first_weights_unless_others_are_asked_for(
    build: Start, pictures: Path, classes: Path, tmp_path: Path
) -> None:
    data = str(pictures / "group0")
    before = build("fcmae", data=data, statistics="data", image_size="32x64")
    before.save_weights(0)
    weights = str(shutil.copy(tmp_path / "run/weights.safetensors", tmp_path / "init.safetensors"))
    calm = ("random_erasing=0", "mixup=0", "cutmix=0")
    task = build("finetune", init=weights, image_size=None, set=calm)
    assert task.plan.image_size == (32, 64)
    assert task.view(Decoded(torch.zeros(3, 90, 70).byte()), 0, 0).image.shape == (3, 32, 64)
    assert is_normalised(task, before.plan.mean, before.plan.std)
    measured = channel_statistics(open_labelled(classes), 3)
    assert not is_normalised(task, *measured)
    for name, expected in (("imagenet", IMAGENET), ("data", measured)):
        asked = build("finetune", init=weights, statistics=name, set=calm)
        assert is_normalised(asked, *expected)


@pytest.mark.parametrize("method", ["fcmae", "moco-v3"])
def test_before_its_first_checkpoint_a_run_begins_from_its_first_weights_again(
    method: str, pictures: Path, classes: Path, encoder: Path, tmp_path: Path
) -> None:
    still = {"epochs": 1, "init": str(encoder), "set": ("base_learning_rate=1e-12",)}
    options = options_of(method, pictures, classes, **still)
    run = fcmae.pretrain(out=str(tmp_path / "run"), **options)
    before = (run / "weights.safetensors").read_bytes()
    shutil.rmtree(run / "checkpoints")
    fcmae.pretrain(out=str(run), resume=True)
    assert (run / "weights.safetensors").read_bytes() == before


# What is computed, and how


def batch_of(task: Any, kind: str) -> Batch:
    """The first, of noise."""
    found = batch(task)
    if kind == "moco-v3":
        found = dataclasses.replace(found, examples=Pair(*torch.rand(2, BATCH, 3, 32, 48)))
    return found


def products_of(task: Any) -> set[torch.dtype]:
    """The precisions in which linear layers will have answered."""
    found: set[torch.dtype] = set()
    for module in task.trained.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda _module, _inputs, out: found.add(out.dtype))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float)])
def test_steps_are_computed_in_the_precision_that_is_asked_for(
    begin: Start, kind: str, precision: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    run = begin(kind, precision=precision)
    found, given = products_of(run.task), batch_of(run.task, kind)
    trainer = Trainer(tmp_path, run.task, run.runtime, run.batching, lambda: False, resumed=False)
    trainer.loss_of(run.task.trained, given)
    assert dtype in found
    assert precision == "bf16" or len(found) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_in_the_precision_that_it_began_with(
    kind: str, pictures: Path, classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, chosen = command_of(kind), "fcmae.training.start.choose_precision"
    monkeypatch.setattr(chosen, lambda *_: "bf16")  # as auto, where the hardware has it
    begun_there = built(command, tmp_path / "run", **options_of(kind, pictures, classes, epochs=1))
    assert begun_there.runtime.precision == "bf16"
    monkeypatch.setattr(chosen, lambda *_: "fp32")
    command(out=str(tmp_path / "run"), resume=True)  # is not refused


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_measured_when_a_run_began_is_kept(
    kind: str, pictures: Path, classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = command_of(kind)
    options = options_of(kind, pictures, classes, epochs=1, statistics="data")
    before = built(command, tmp_path / "run", **options)

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    measure = "fcmae.images.statistics.channel_statistics"
    monkeypatch.setattr(measure, never)
    run = command(out=str(tmp_path / "run"), resume=True)
    statistics = json.loads((run / "config.json").read_text())["statistics"]
    assert statistics == {"mean": [*before.plan.mean], "std": [*before.plan.std]}
    monkeypatch.setattr(measure, lambda *_: ((0.1,) * 3, (0.2,) * 3))
    with pytest.raises(ValueError, match="mean"):  # where it is asked for, it is measured again
        command(out=str(run), resume=True, statistics="data")


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_recomputed_where_that_is_asked_for(build: Start, kind: str) -> None:
    def passes(task: Any) -> int:
        seen: list[int] = []
        encoder_of(task).stages[1][0].register_forward_pre_hook(lambda *_: seen.append(1))
        task.trained.train()
        task.loss(task.trained, *task.prepare(batch_of(task, kind))).backward()
        return len(seen)

    assert passes(build(kind, checkpoint_blocks=True)) == 2 * passes(build(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_compiled_where_that_is_asked_for(build: Start, kind: str) -> None:
    torch.compiler.reset()
    with torch.compiler.set_stance(force_backend="eager"):
        for wanted in (True, False):
            task = build(kind, compile=wanted)
            blocks = [part for part in encoder_of(task).modules() if type(part) is Block]
            assert [block.compiled for block in blocks] == [wanted] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_running_statistics_are_not_moved_a_second_time(build: Start, kind: str) -> None:
    with pytest.raises(ValueError, match="would move its running statistics a second time"):
        build(kind, checkpoint_blocks=True, set=("response=batch",))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_trained_but_keys(build: Start, kind: str) -> None:
    for name, parameter in build(kind).trained.named_parameters():
        assert parameter.requires_grad == (not name.startswith("key.")), name


# Data


@pytest.mark.parametrize("method", ["fcmae", "moco-v3"])
def test_the_images_are_those_of_the_data(
    build: Start, method: str, pictures: Path, tmp_path: Path
) -> None:
    chosen = sorted(pictures.rglob("*.png"))[2:10]
    (tmp_path / "list.txt").write_text("\n".join(map(str, chosen)))
    task = build(method, data=str(tmp_path / "list.txt"))
    assert [Path(task.images.name(i)).name for i in range(8)] == [path.name for path in chosen]
    assert len(build(method).images) == TRAIN_IMAGES


@pytest.mark.parametrize(
    ("kind", "file"),
    [(kind, "group1/13.png") for kind in KINDS[:2]]
    + [("finetune", "train/g/13.png"), ("finetune", "val/a/00.png")],
)
def test_other_images_are_another_plan(
    build: Start, kind: str, file: str, pictures: Path, classes: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(classes if kind == "finetune" else pictures, tmp_path / "data")
    before = build(kind, data=str(data)).plan.names
    (data / file).rename((data / file).with_name("zz.png"))
    assert build(kind, data=str(data)).plan.names != before


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_inside_its_data_is_refused(
    kind: str, pictures: Path, classes: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(classes if kind == "finetune" else pictures, tmp_path / "data")
    options = options_of(kind, data, data)
    with pytest.raises(ValueError, match="lies inside data"):
        command_of(kind)(out=str(data / "run"), dry_run=True, **options)


# Looks


def test_looks_mask_whole_patches(build: Start) -> None:
    task = build("fcmae", patch_size=32, image_size="64x96")
    seen: list[Any] = []
    task.trained.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1].shape))
    task.measure(Silence(), 0)
    assert seen == [(6, 2, 3)]


@pytest.mark.parametrize("method", ["fcmae", "moco-v3"])
def test_looks_move_no_running_statistics(build: Start, method: str) -> None:
    task = build(method, set=("response=batch",))
    before = {name: value.clone() for name, value in task.trained.state_dict().items()}
    assert any("running" in name for name in before)
    task.trained.train()
    task.measure(Silence(), 0)
    after = task.trained.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(module.training for module in encoder_of(task).modules())


@pytest.mark.parametrize("method", ["fcmae", "moco-v3"])
def test_looks_come_ever_less_often(build: Start, method: str) -> None:
    task = build(method, epochs=9)
    looked: list[int] = []
    task.learner.observe = lambda epoch: looked.append(epoch) or {}
    for epoch in range(1, 10):
        task.measure(Silence(), 3 * epoch)
    assert looked == [1, 2, 4, 9]


@pytest.mark.parametrize(("method", "epochs"), [("fcmae", 800), ("moco-v3", 300)])
def test_each_method_has_its_own_number_of_epochs(build: Start, method: str, epochs: int) -> None:
    assert build(method, epochs=None).plan.epochs == epochs
