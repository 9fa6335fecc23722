"""MoCo v3: every field of the recipe and of the plan is found in what is trained."""

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
    betas,
    computes_in,
    crops_within,
    decays,
    described,
    field_is_seen,
    flips,
    names_of,
    option_is_seen,
    peak,
    rates,
    shrinks,
    starts_as,
)
from wiring.small import BATCH, STEPS_PER_EPOCH, TRAIN_IMAGES, built

import fcmae
from fcmae.images import Decoded, Pair, centre_crop, channel_statistics, decode, open_images
from fcmae.models.contrastive import create_contrast
from fcmae.pretraining.contrastive import ContrastivePlan, ContrastiveRecipe
from fcmae.training.journal import Silence

Build = Callable[..., Any]
CALM = ("jitter_probability=0", "grey=0", "blur=0,0", "solarise=0,0")


@pytest.fixture
def build(pictures: Path, tmp_path: Path) -> Build:
    def build(**options: Any) -> Any:
        small = [f for f in ("hidden_width=12", "projection_width=6") if not _set(options, f)]
        options["set"] = (*options.get("set", ()), *small)
        usual = {
            "data": str(pictures), "epochs": 4, "batch_size": BATCH, "image_size": "32x48",
            "stem_stride": 2, "workers": 0, "device": "cpu", "method": "moco-v3",
        }  # fmt: skip
        return built(fcmae.pretrain, tmp_path / "run", **(usual | options))

    return build


def _set(options: dict[str, Any], assignment: str) -> bool:
    name = assignment.partition("=")[0]
    return any(given.partition("=")[0] == name for given in options.get("set", ()))


def pairs(task: Any, picture: Tensor) -> Tensor:
    """Views of a picture, [seeds, 2, C, H, W]."""
    return torch.stack([torch.stack(task.view(Decoded(picture), None, seed)) for seed in SEEDS])


def flat(*values: float) -> Tensor:
    """A picture of one colour."""
    return torch.tensor(values)[:, None, None].expand(-1, 60, 80)


def noise() -> Tensor:
    """A grey picture that has all that a blur could take away."""
    return torch.rand(60, 80, generator=plain.dice(0)).expand(3, -1, -1)


def contrasts(task: Any) -> Tensor:
    """What is left of the noise in each view: deviations, [seeds, 2]."""
    return pairs(task, noise()).std((2, 3, 4))


def loss_is_of(task: Any, temperature: float) -> bool:
    generator = plain.dice(1)
    first, second = (torch.rand(BATCH, 3, 32, 48, generator=generator) for _ in range(2))
    w = {name: value.double() for name, value in task.trained.state_dict().items()}
    wanted = plain.contrastive_loss(
        w, first.double(), second.double(), stem_stride=2, temperature=temperature
    )
    found = task.loss(task.trained, first, second).item()
    return math.isclose(found, wanted.item(), rel_tol=1e-3)


def follows_by(task: Any, momentum: float, *, step: int) -> bool:
    """The keys keep such a share of themselves after a step, of those whose number is divisible."""
    query, key = (next(getattr(task.trained, part).parameters()) for part in ("query", "key"))
    with torch.no_grad():
        query.add_(1)
    before = key.clone()
    (follow,) = task.followers
    follow(step)
    return torch.allclose(key, momentum * before + (1 - momentum) * query, atol=1e-5)


def widths(task: Any) -> tuple[int, int]:
    """Hidden and last of projector and predictor."""
    for part, inputs in ((task.trained.query.projector, 64), (task.trained.predictor, None)):
        assert inputs in (None, part[0].in_features)
    projector, predictor = task.trained.query.projector, task.trained.predictor
    assert projector[0].out_features == projector[3].out_features == predictor[0].out_features
    assert projector[-2].out_features == predictor[0].in_features == predictor[-2].out_features
    return projector[0].out_features, projector[-2].out_features


def stem_is_frozen(task: Any) -> bool:
    trained = [
        name for name in decays(task) if name.startswith("query.encoder.downsample_layers.0")
    ]
    return not trained


def encoder_responses(task: Any) -> set[str]:
    stages = (*task.trained.query.encoder.stages, *task.trained.key.encoder.stages)
    return {type(stage[0].grn).__name__ for stage in stages}


FIELDS = {
    "base_learning_rate": Check("0.02", lambda t: math.isclose(peak(t), 0.02 * BATCH / 256)),
    "weight_decay": Check("0.3", lambda t: set(decays(t).values()) == {0.0, 0.3}),
    "optimizer_momentum": Check("0.7,0.8", lambda t: betas(t) == {(0.7, 0.8)}),
    "warmup_epochs": Check("2", lambda t: rates(t).index(peak(t)) == 2 * STEPS_PER_EPOCH),
    "minimum_learning_rate": Check("1e-6", lambda t: math.isclose(rates(t)[-1], 1e-6)),
    "decay_exempt": Check("nothing", lambda t: set(decays(t).values()) == {0.1}),
    "temperature": Check("0.7", lambda t: loss_is_of(t, 0.7)),
    # Half way, it has risen half way to 1.
    "encoder_momentum": Check(
        "0.6", lambda t: follows_by(t, 0.8, step=6) and follows_by(t, 1, step=12)
    ),
    "hidden_width": Check("20", lambda t: widths(t) == (20, 6)),
    "projection_width": Check("5", lambda t: widths(t) == (12, 5)),
    "frozen_stem": Check("true", stem_is_frozen),
    "crop_scale": Check("0.5,0.6", lambda t: crops_within(t, 0.5, 0.6), CALM),
    "horizontal_flip": Check("1", lambda t: flips(t) == 1, CALM),
    # Brightness alone, and by more than usual.
    "colour_jitter": Check(
        "0.9,0,0,0",
        lambda t: pairs(t, flat(0.5, 0.5, 0.5)).amax() > 0.8,
        ("jitter_probability=1", *CALM[1:]),
    ),
    "jitter_probability": Check(
        "0", lambda t: pairs(t, flat(0.2, 0.5, 0.6)).std((0, 1, 3, 4)).amax() < 1e-6, CALM[1:]
    ),
    "grey": Check(
        "1", lambda t: pairs(t, flat(0.2, 0.5, 0.6)).std(2).amax() < 1e-6, (CALM[0], *CALM[2:])
    ),
    "blur": Check(
        "0,1",
        lambda t: contrasts(t)[:, 0].amin() > 0.1 and contrasts(t)[:, 1].amax() < 0.05,
        ("crop_scale=1,1", "blur_sigma=2,2.1", *CALM[:2], CALM[3]),
    ),
    "blur_sigma": Check(
        "3,3.1",
        lambda t: contrasts(t).amax() < 0.02,
        ("crop_scale=1,1", "blur=1,1", *CALM[:2], CALM[3]),
    ),
    "solarise": Check(
        "1,0",
        lambda t: torch.allclose(
            pairs(t, flat(0.9, 0.9, 0.9)).mean((2, 3, 4)), torch.tensor([0.1, 0.9]), atol=1e-5
        ),
        CALM[:3],
    ),
    "response": Check("layer", lambda t: encoder_responses(t) == {"LayerResponse"}),
}
OPTIONS = {
    "model": Check(
        "convnext_atto", lambda t: "key.encoder.stages.0.0.gamma" in t.trained.state_dict()
    ),
    "in_channels": Check(
        1,
        lambda t: (
            t.plan.in_channels == t.trained.query.encoder.downsample_layers[0][0].in_channels == 1
        ),
    ),
    "stem_stride": Check(
        1, lambda t: t.trained.query.encoder.downsample_layers[0][0].stride == (1, 1)
    ),
    "image_size": Check(
        "48x64", lambda t: pairs(t, torch.rand(3, 90, 70)).shape == (len(SEEDS), 2, 3, 48, 64)
    ),
    "batch_size": Check(7, lambda t: len(rates(t)) == 4 * 2 + 1 and t.plan.batch_size == 7),
    "epochs": Check(7, lambda t: len(rates(t)) == 7 * STEPS_PER_EPOCH + 1),
    "precision": Check("bf16", lambda t: computes_in(t, torch.bfloat16)),
    "decoding": Check("exact", lambda t: not shrinks(t)),
}
# The rest of the plan says what follows from the above, or has a test of its own, below or (data)
# in test_shared_options.py.
SAID = {"names", "images", "departures", "recipe"}
OWN_TEST = {"data", "init", "seed", "mean", "std"}


def test_every_field_has_a_check() -> None:
    assert names_of(ContrastiveRecipe) == FIELDS.keys()
    assert names_of(ContrastivePlan) == OPTIONS.keys() | SAID | OWN_TEST | IN_ITERATIONS


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_of_the_recipe(build: Build, name: str) -> None:
    field_is_seen(build, name, FIELDS[name])


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_of_the_plan(build: Build, name: str) -> None:
    option_is_seen(build, name, OPTIONS[name])


def test_init(build: Build, encoder: Path) -> None:
    task = build(init=str(encoder))
    ours = task.trained.state_dict()
    for name, value in load_file(encoder).items():
        assert torch.equal(ours[f"query.encoder.{name}"], value)
        assert torch.equal(ours[f"key.encoder.{name}"], value)


def test_seed(build: Build) -> None:
    for seed in (0, 3):
        torch.manual_seed(seed)
        fresh = create_contrast(stem_stride=2, hidden_width=12, projection_width=6)
        task = build(seed=seed)
        assert starts_as(task, fresh)
        assert task.plan.seed == seed


def test_keys_begin_as_the_queries(build: Build) -> None:
    trained = build().trained
    for query, key in zip(trained.query.parameters(), trained.key.parameters(), strict=True):
        assert torch.equal(query, key)
        assert not key.requires_grad


def test_statistics(build: Build, pictures: Path) -> None:
    views = torch.rand(BATCH, 2, 3, 32, 48)
    measured = channel_statistics(open_images(pictures), 3)
    usual = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    for statistics, (mean, std) in (("data", measured), ("imagenet", usual)):
        task = build(statistics=statistics)
        prepared = task.prepare(
            fcmae.images.Batch(0, 0, Pair(*views.unbind(1)), [*range(BATCH)], [])
        )
        for number, view in enumerate(prepared):
            wanted = plain.normalised(views[:, number], mean, std)
            assert torch.allclose(view, wanted, atol=1e-5)


def test_looks_see_images_as_training_does(build: Build, pictures: Path) -> None:
    task = build(statistics="data", image_size="48x64")
    seen: list[Tensor] = []
    stem = task.trained.query.encoder.downsample_layers[0]
    stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    task.measure(Silence(), 0)
    names = [open_images(pictures).name(i * TRAIN_IMAGES // 6) for i in range(6)]
    crops = torch.stack([centre_crop(decode(pictures / name, 3), (48, 64)) for name in names])
    mean, std = channel_statistics(open_images(pictures), 3)
    wanted = plain.normalised(crops, mean, std).permute(0, 2, 3, 1)
    assert torch.allclose(torch.cat(seen), wanted, atol=1e-5)


def test_weights_are_the_queries_and_say_what_they_are_of(build: Build, pictures: Path) -> None:
    task = build(
        model="convnextv2_femto", statistics="data", in_channels=1, image_size="32x64",
        set=("response=layer",),
    )  # fmt: skip
    with torch.no_grad():
        for key in task.trained.key.parameters():
            key.add_(1)
    mean, std = channel_statistics(open_images(pictures), 1)
    assert described(task) == {
        "model": "convnextv2_femto", "in_channels": 1, "stem_stride": 2, "response": "layer",
        "image_size": [32, 64], "mean": [*mean], "std": [*std], "step": 3,
    }  # fmt: skip
    ours = task.trained.query.encoder.state_dict()
    written = load_file(task.out / "weights.safetensors")
    assert ours.keys() == written.keys()
    assert all(torch.equal(ours[name], value) for name, value in written.items())
