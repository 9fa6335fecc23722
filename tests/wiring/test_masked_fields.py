"""Masked pre-training: every field of the recipe and of the plan is found in what is trained."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from wiring import plain
from wiring.places import (
    IN_ITERATIONS,
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
    seen_by,
    shrinks,
    starts_as,
)
from wiring.small import BATCH, STEPS_PER_EPOCH, built

import fcmae
from fcmae.images import centre_crop, channel_statistics, decode, open_images
from fcmae.models.layers import GRN
from fcmae.pretraining.masked import MaskedPlan, MaskedRecipe
from fcmae.training.journal import Silence

Build = Callable[..., Any]


@pytest.fixture
def build(pictures: Path, tmp_path: Path) -> Build:
    def build(**options: Any) -> Any:
        usual = {
            "data": str(pictures), "epochs": 4, "batch_size": BATCH, "image_size": "32x48",
            "stem_stride": 2, "workers": 0, "device": "cpu",
        }  # fmt: skip
        return built(fcmae.pretrain, tmp_path / "run", **(usual | options))

    return build


def masks(task: Any, step: int = 0) -> torch.Tensor:
    return task.prepare(batch(task, step))[1]


def loss_of_nothing(task: Any) -> float:
    """Where 0 is predicted for every pixel: the mean square of the targets."""
    task.trained.decoder.pred.requires_grad_(False).weight.zero_()
    return task.loss(task.trained, *task.prepare(batch(task))).item()


def response_is(task: Any, name: str) -> bool:
    """The encoder's blocks have it in GRN's place; the decoder's always have GRN."""
    modules = [stage[0].grn for stage in task.trained.encoder.stages]
    assert isinstance(task.trained.decoder.blocks[0].grn, GRN)
    wanted = {"layer": "LayerResponse", "grn": "GRN"}[name]
    return all(type(module).__name__ == wanted for module in modules)


def decayed(task: Any) -> bool:
    """Whether GRN and the mask token are."""
    special = [name for name in decays(task) if ".grn." in name or "mask_token" in name]
    assert len(special) == 11
    return all(decays(task)[name] > 0 for name in special)


FIELDS = {
    "base_learning_rate": Check("0.02", lambda t: math.isclose(peak(t), 0.02 * BATCH / 256)),
    "weight_decay": Check("0.3", lambda t: set(decays(t).values()) == {0.0, 0.3}),
    "optimizer_momentum": Check("0.7,0.8", lambda t: betas(t) == {(0.7, 0.8)}),
    "warmup_epochs": Check("2", lambda t: rates(t).index(peak(t)) == 2 * STEPS_PER_EPOCH),
    "minimum_learning_rate": Check("1e-6", lambda t: math.isclose(rates(t)[-1], 1e-6)),
    "decay_exempt": Check("paper-code", decayed),
    "norm_pix": Check("false", lambda t: loss_of_nothing(t) > 1.2),
    "decoder_width": Check("24", lambda t: t.trained.decoder.proj.out_features == 24),
    "decoder_depth": Check("3", lambda t: len(t.trained.decoder.blocks) == 3),
    "crop_scale": Check("0.5,0.6", lambda t: crops_within(t, 0.5, 0.6)),
    "horizontal_flip": Check("1", lambda t: flips(t) == 1),
    "response": Check("layer", lambda t: response_is(t, "layer")),
}
OPTIONS = {
    "model": Check("convnext_atto", lambda t: "stages.0.0.gamma" in t.trained.encoder.state_dict()),
    "in_channels": Check(
        1,
        lambda t: t.plan.in_channels == t.trained.encoder.downsample_layers[0][0].in_channels == 1,
    ),
    "stem_stride": Check(1, lambda t: t.trained.encoder.downsample_layers[0][0].stride == (1, 1)),
    "patch_size": Check(
        32,
        lambda t: masks(t).shape == (BATCH, 2, 3) and t.trained.grid(64, 96) == (2, 3),
        options={"image_size": "64x96"},
    ),
    "image_size": Check(
        "48x64",
        lambda t: (
            seen_by(t, torch.rand(3, 90, 70))[0].shape == (3, 48, 64)
            and masks(t).shape == (BATCH, 3, 4)
        ),
    ),
    "mask_ratio": Check(0.3, lambda t: masks(t).sum((1, 2)).tolist() == [2] * BATCH),
    "batch_size": Check(
        7, lambda t: len(masks(t)) == 7 and len(rates(t)) == 4 * 2 + 1 and t.plan.log_every == 1
    ),
    "epochs": Check(7, lambda t: len(rates(t)) == 7 * STEPS_PER_EPOCH + 1 and rates(t)[-1] == 0),
    "precision": Check("bf16", lambda t: computes_in(t, torch.bfloat16)),
    "decoding": Check("exact", lambda t: not shrinks(t)),
}
# The rest of the plan says what follows from the above, or has a test of its own, below or (data)
# in test_shared_options.py.
SAID = {"names", "images", "visible_patches", "patches", "departures", "recipe"}
OWN_TEST = {"data", "init", "seed", "mean", "std"}


def test_every_field_has_a_check() -> None:
    assert names_of(MaskedRecipe) == FIELDS.keys()
    assert names_of(MaskedPlan) == OPTIONS.keys() | SAID | OWN_TEST | IN_ITERATIONS


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_of_the_recipe(build: Build, name: str) -> None:
    field_is_seen(build, name, FIELDS[name])


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_of_the_plan(build: Build, name: str) -> None:
    option_is_seen(build, name, OPTIONS[name])


def test_init(build: Build, encoder: Path) -> None:
    weights = load_file(encoder)
    task, fresh = build(init=str(encoder)), build()
    ours = task.trained.encoder.state_dict()
    assert ours.keys() == weights.keys()
    assert all(torch.equal(ours[name], value) for name, value in weights.items())
    decoder = task.trained.decoder.state_dict()
    assert all(torch.equal(decoder[n], v) for n, v in fresh.trained.decoder.state_dict().items())


def test_seed(build: Build) -> None:
    for seed in (0, 3):
        torch.manual_seed(seed)
        task = build(seed=seed)
        torch.manual_seed(seed)
        assert starts_as(task, fcmae.create_autoencoder(stem_stride=2))
        assert task.plan.seed == seed
    assert not torch.equal(masks(task), masks(build()))


def test_statistics(build: Build, pictures: Path) -> None:
    measured = channel_statistics(open_images(pictures), 3)
    assert is_normalised(build(statistics="data"), *measured)
    assert not is_normalised(build(), *measured)
    assert is_normalised(build(), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_looks_see_images_and_masks_as_training_does(build: Build, pictures: Path) -> None:
    task = build(statistics="data", mask_ratio=0.3, image_size="48x64")
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    task.trained.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    task.measure(Silence(), 0)
    ((images, mask),) = seen
    files = [pictures / name for name in task.learner.reconstructions.names]
    crops = torch.stack([centre_crop(decode(file, 3), (48, 64)) for file in files])
    mean, std = channel_statistics(open_images(pictures), 3)
    assert torch.allclose(images, plain.normalised(crops, mean, std), atol=1e-5)
    assert mask.shape == (len(files), 3, 4)
    assert mask.sum((1, 2)).tolist() == [4] * len(files)  # of 12, a third for a ratio of 0.3


def test_weights_say_what_they_are_of(build: Build, pictures: Path) -> None:
    task = build(
        model="convnextv2_femto", statistics="data", in_channels=1, image_size="32x64",
        set=("response=layer",),
    )  # fmt: skip
    mean, std = channel_statistics(open_images(pictures), 1)
    assert described(task) == {
        "model": "convnextv2_femto", "in_channels": 1, "stem_stride": 2, "response": "layer",
        "image_size": [32, 64], "mean": [*mean], "std": [*std], "step": 3,
    }  # fmt: skip
    ours = task.trained.encoder.state_dict()
    written = load_file(task.out / "weights.safetensors")
    assert ours.keys() == written.keys()
    assert all(torch.equal(ours[name], value) for name, value in written.items())
