"""Fine-tuning: every field of the recipe and of the plan is found in what is trained."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from wiring import plain
from wiring.places import (
    IN_ITERATIONS,
    SEEDS,
    Check,
    batch,
    betas,
    computes_in,
    crops_within,
    decays,
    described,
    field_is_seen,
    flips,
    is_normalised,
    names_of,
    option_is_seen,
    peak,
    rates,
    scales,
    seen_by,
    shrinks,
    starts_as,
)
from wiring.small import BATCH, CLASSES, STEPS_PER_EPOCH, TRAIN_IMAGES, built, save_picture

import fcmae
from fcmae.finetuning.plan import FinetuningPlan, Recipe
from fcmae.images import (
    Batch,
    Classified,
    Decoded,
    channel_statistics,
    decode,
    open_labelled,
    share,
)
from fcmae.images.augment import augment
from fcmae.images.mixing import draw_mix
from fcmae.models.layers import DropPath
from fcmae.recipes import TABLE_6
from fcmae.training.journal import Silence
from fcmae.training.validation import Metrics

Build = Callable[..., Any]
MEAN = (0.485, 0.456, 0.406)
CALM = ("rand_augment=0,0", "random_erasing=0", "mixup=0", "cutmix=0")


@pytest.fixture
def build(classes: Path, tmp_path: Path) -> Build:
    def build(**options: Any) -> Any:
        usual = {
            "data": str(classes), "epochs": 4, "batch_size": BATCH, "image_size": "32x48",
            "stem_stride": 2, "workers": 0, "device": "cpu",
        }  # fmt: skip
        return built(fcmae.finetune, tmp_path / "run", **(usual | options))

    return build


def is_augmented(task: Any, magnitude: int, deviation: float) -> bool:
    """The views are those of RandAugment of this strength, filled with the data's mean."""
    shape = (task.plan.in_channels, 60, 80)
    picture = (torch.rand(shape, generator=plain.dice(0)) * 255).byte()
    for seed in SEEDS[:8]:
        wanted = augment(
            Decoded(picture),
            (32, 48),
            rand_augment=("RandAug", magnitude, deviation) if magnitude else None,
            fill=task.plan.mean,
            generator=torch.Generator().manual_seed(seed),
        )
        if not torch.equal(task.view(Decoded(picture), 0, seed).image, wanted):
            return False
    return True


def erased(task: Any) -> int:
    """How many images of a grey batch have noise in them."""
    images = torch.full((BATCH, 3, 32, 48), 0.5)
    prepared, _ = task.prepare(batch(task, images=images))
    return int((prepared.std((2, 3)).amax(1) > 0.1).sum())


def targets(task: Any, step: int = 0) -> Tensor:
    return task.prepare(batch(task, step))[1]


def is_mixed(task: Any, mixup: float, cutmix: float) -> bool:
    """Images and targets of each step are mixed with their neighbours as drawn."""
    for step in range(6):
        given = batch(task, step)
        prepared, soft = task.prepare(given)
        seed = plain.seed_of(0, step, 1 << 41)
        drawn = draw_mix((32, 48), mixup=mixup, cutmix=cutmix, seed=seed)
        partners = [1, 0, 3, 2]
        x = plain.normalised(given.examples.image, MEAN, (0.229, 0.224, 0.225))
        mixed = drawn.share * x + (1 - drawn.share) * x[partners]
        if drawn.window is not None:
            top, left, rows, columns = drawn.window
            mixed = x.clone()
            area = (..., slice(top, top + rows), slice(left, left + columns))
            mixed[area] = x[partners][area]
        labels = torch.tensor(task.images.labels)[given.indices]
        one_hot = torch.nn.functional.one_hot(labels, 7) * 0.8 + 0.2 / 7
        wanted = drawn.share * one_hot + (1 - drawn.share) * one_hot[partners]
        same = torch.allclose(prepared, mixed, atol=1e-5)
        if not (same and torch.allclose(soft, wanted, atol=1e-6)):
            return False
    return True


def drop_rates(task: Any) -> list[float]:
    return [layer.rate for layer in task.trained.modules() if isinstance(layer, DropPath)]


def kept_by_average(task: Any, update: int) -> float:
    """The share of itself that the average keeps when the model's weights change."""
    weight = task.trained.head.weight
    before = task.average.module.head.weight.clone()
    with torch.no_grad():
        weight.add_(1)
    (follow,) = task.followers
    follow(update)
    moved = task.average.module.head.weight - before
    return 1 - (moved / (weight - before)).mean().item()


def averages(task: Any) -> bool:
    """Whether weights are written of an average, and kept."""
    names = task.kept.state_dict().keys()
    assert any(name.startswith("average.") for name in names) == (task.average is not None)
    return task.average is not None


def responses(task: Any) -> set[str]:
    return {type(stage[0].grn).__name__ for stage in task.trained.stages}


def gives_up(task: Any, *, epochs: int) -> bool:
    """Whether it stops so many epochs after its best."""
    task.state["best"] = {"epoch": 2, "accuracy": 0.5}
    half = Metrics({"accuracy": 0.5}, "accuracy")
    return task.best.stops(half, 2 + epochs, 0, Silence())


def decay_of_layers(task: Any) -> list[float]:
    """From the head to the stem, each layer's rate once."""
    return sorted(set(scales(task).values()), reverse=True)


# Of 1 + 1 + 27 + 1 blocks and a head, and of the paper's groups of three blocks in the third stage.
LAYERS, GROUPS = 31, 14
FIELDS = {
    "base_learning_rate": Check(
        "0.02", lambda t: math.isclose(peak(t), 0.02 * (BATCH * 1024) ** 0.5 / 256)
    ),
    "learning_rate_scaling": Check("linear", lambda t: math.isclose(peak(t), 2e-4 * BATCH / 256)),
    "weight_decay": Check("0.2", lambda t: set(decays(t).values()) == {0.0, 0.2}),
    "optimizer_momentum": Check("0.7,0.8", lambda t: betas(t) == {(0.7, 0.8)}),
    "layer_decay": Check("0.5", lambda t: decay_of_layers(t) == [1, 0.5, 0.25, 0.125, 0.0625]),
    "layer_decay_kind": Check(
        "layer",
        lambda t: len(decay_of_layers(t)) == LAYERS,
        ("layer_decay=0.5",),
        {"model": "convnextv2_base"},
    ),
    "warmup_epochs": Check("2", lambda t: rates(t).index(peak(t)) == 2 * STEPS_PER_EPOCH),
    "minimum_learning_rate": Check("1e-5", lambda t: math.isclose(rates(t)[-1], 1e-5)),
    "rand_augment": Check("4,0.3", lambda t: is_augmented(t, 4, 0.3)),
    "random_erasing": Check("1", lambda t: erased(t) == BATCH),
    "crop_scale": Check("0.5,0.6", lambda t: crops_within(t, 0.5, 0.6), CALM[:1]),
    "horizontal_flip": Check("1", lambda t: flips(t) == 1, CALM[:1]),
    "label_smoothing": Check(
        "0.7", lambda t: math.isclose(targets(t).amin(), 0.1, rel_tol=1e-5), CALM[2:]
    ),
    "mixup": Check("0.4", lambda t: is_mixed(t, 0.4, 0), (*CALM[:2], CALM[3])),
    "cutmix": Check("0.6", lambda t: is_mixed(t, 0, 0.6), CALM[:3]),
    "drop_path": Check("0.6", lambda t: drop_rates(t) == pytest.approx([0, 0.2, 0.4, 0.6])),
    "head_init": Check(
        "50", lambda t: math.isclose(t.trained.head.weight.std().item(), 1, rel_tol=0.2)
    ),
    "ema": Check(
        "0.4",
        lambda t: math.isclose(kept_by_average(t, 9), 0.4, rel_tol=1e-3),
        ("ema_warmup=false",),
    ),
    "ema_warmup": Check(
        "false", lambda t: math.isclose(kept_by_average(t, 9), 0.9, rel_tol=1e-3), ("ema=0.9",)
    ),
    "response": Check("layer", lambda t: responses(t) == {"LayerResponse"}),
}
OPTIONS = {
    "model": Check("convnext_atto", lambda t: "stages.0.0.gamma" in t.trained.state_dict()),
    "in_channels": Check(
        1,
        lambda t: (
            t.plan.in_channels == t.trained.downsample_layers[0][0].in_channels == 1
            and t.average.module.downsample_layers[0][0].in_channels == 1
        ),
    ),
    "stem_stride": Check(1, lambda t: t.trained.downsample_layers[0][0].stride == (1, 1)),
    "image_size": Check(
        "48x64", lambda t: seen_by(t, torch.rand(3, 90, 70))[0].shape == (3, 48, 64), CALM[:1]
    ),
    "stage": Check(
        "22k-to-1k",
        lambda t: set(decays(t).values()) == {0.0, TABLE_6["N"].weight_decay},
        options={"model": "convnextv2_nano"},
    ),
    "patience": Check(3, lambda t: gives_up(t, epochs=3) and not gives_up(t, epochs=2)),
    "batch_size": Check(7, lambda t: len(rates(t)) == 4 * 2 + 1 and t.plan.batch_size == 7),
    "epochs": Check(7, lambda t: len(rates(t)) == 7 * STEPS_PER_EPOCH + 1),
    "precision": Check("bf16", lambda t: computes_in(t, torch.bfloat16)),
    "decoding": Check("exact", lambda t: not shrinks(t)),
}
# The rest of the plan says what follows from the above, or has a test of its own below.
SAID = {"names", "table", "images", "departures", "recipe"}
OWN_TEST = {"data", "val_images", "classes", "label_share", "init", "seed", "mean", "std"}


def test_every_field_has_a_check() -> None:
    assert names_of(Recipe) == FIELDS.keys()
    assert names_of(FinetuningPlan) == OPTIONS.keys() | SAID | OWN_TEST | IN_ITERATIONS


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_of_the_recipe(build: Build, name: str) -> None:
    field_is_seen(build, name, FIELDS[name])


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_of_the_plan(build: Build, name: str) -> None:
    option_is_seen(build, name, OPTIONS[name])


def test_without_an_average_there_is_none(build: Build) -> None:
    assert averages(build())
    assert not averages(build(set=("ema=0",)))


def test_layers_decay_by_groups_where_the_paper_has_them(build: Build) -> None:
    task = build(model="convnextv2_base", set=("layer_decay=0.5",))
    assert decay_of_layers(task) == [0.5**n for n in range(GROUPS)]
    by_name = scales(task)
    assert by_name["head.weight"] == by_name["norm.bias"] == 1
    assert by_name["stages.3.0.dwconv.weight"] == by_name["downsample_layers.3.1.weight"] == 0.5
    assert by_name["stages.2.26.pwconv1.weight"] == 0.25
    assert by_name["downsample_layers.0.0.weight"] == 0.5**13


def test_grey_images_are_augmented_too(build: Build) -> None:
    assert is_augmented(build(in_channels=1), 9, 0.5)  # as the table says


def test_no_picture_of_an_earlier_best_epoch_stays(build: Build) -> None:
    task = build()
    for count in (3, 2):
        task.keep_best(count, count, {"mistakes": [{"index": i} for i in range(count)]})
        pictures = {path.name for path in (task.out / "mistakes").iterdir()}
        assert pictures == {f"{rank}.webp" for rank in range(count)}


def test_data(build: Build, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(8):
        save_picture(data / "train" / "xyz"[number % 3] / f"{number}.png", number)
        save_picture(data / "val" / "zyx"[number % 3] / f"{number}.png", number)
    task = build(data=str(data))
    names = [task.images.name(i) for i in range(8)]
    assert names == [f"{n}.png" for n in ("x/0", "x/3", "x/6", "y/1", "y/4", "y/7", "z/2", "z/5")]
    labels = task.prepare(batch(task, images=torch.zeros(8, 3, 32, 48)))[1].argmax(1)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert task.trained.head.out_features == 3
    assert task.val.labels == (0, 0, 1, 1, 1, 2, 2, 2)
    assert (len(build().images), len(build().val)) == (TRAIN_IMAGES, 21)
    assert build().images.classes == CLASSES


def test_label_share(build: Build, classes: Path) -> None:
    for seed in (0, 1):
        task = build(label_share=0.5, seed=seed)
        wanted = share(open_labelled(classes), 0.5, seed)
        assert task.images.counts() == [1] * 7
        assert [task.images.name(i) for i in range(7)] == [wanted.name(i) for i in range(7)]
        for i in range(7):  # what is read is what was drawn
            whole = decode(classes / "train" / wanted.name(i), 3)
            assert torch.equal(task.images.read(i, 3).pixels, whole)
        assert len(task.val) == 21


def test_init(build: Build, encoder: Path) -> None:
    weights = load_file(encoder)
    task = build(init=str(encoder))
    for module in (task.trained, task.average.module):
        ours = module.state_dict()
        assert all(torch.equal(ours[name], value) for name, value in weights.items())
        assert ours.keys() - weights.keys() == {
            "norm.weight", "norm.bias", "head.weight", "head.bias",
        }  # fmt: skip


def test_seed(build: Build) -> None:
    for seed in (0, 3):
        torch.manual_seed(seed)
        fresh = fcmae.create_model(num_classes=7, stem_stride=2, drop_path=0.1, head_init=0.001)
        task = build(seed=seed)
        assert starts_as(task, fresh)
        assert task.plan.seed == seed


def test_statistics(build: Build, classes: Path) -> None:
    measured = channel_statistics(open_labelled(classes), 3)
    calm = CALM[1:]
    assert is_normalised(build(statistics="data", set=calm), *measured)
    assert not is_normalised(build(set=calm), *measured)
    assert is_normalised(build(set=calm), MEAN, (0.229, 0.224, 0.225))


def test_micro_batches_have_their_own_labels_and_drop_paths(build: Build) -> None:
    task = build(set=(*CALM, "drop_path=0.5"))
    whole = batch(task)
    _, soft = task.prepare(whole)
    drawn = [layer.drawn.clone() for layer in task.drops]
    examples = Classified(*(part[2:] for part in whole.examples))
    part = Batch(whole.step, 2, examples, whole.indices[2:], [])
    _, last = task.prepare(part)
    assert torch.equal(last, soft[2:])
    for layer, numbers in zip(task.drops, drawn, strict=True):
        assert torch.equal(layer.drawn, numbers[2:])


@pytest.mark.parametrize("ema", [0, 0.5])
def test_weights_are_the_average_and_say_what_they_are_of(
    build: Build, classes: Path, ema: float
) -> None:
    task = build(
        model="convnextv2_femto", statistics="data", in_channels=1, image_size="32x64",
        set=("response=layer", f"ema={ema}"),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in task.trained.parameters():
            parameter.add_(1)
    mean, std = channel_statistics(open_labelled(classes), 1)
    assert described(task) == {
        "model": "convnextv2_femto", "in_channels": 1, "stem_stride": 2, "response": "layer",
        "num_classes": 7, "classes": [*CLASSES], "image_size": [32, 64], "mean": [*mean],
        "std": [*std], "step": 3,
    }  # fmt: skip
    ours = (task.average.module if ema else task.trained).state_dict()
    written = load_file(task.out / "weights.safetensors")
    assert ours.keys() == written.keys()
    assert all(torch.equal(ours[name], value) for name, value in written.items())
