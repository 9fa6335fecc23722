"""One setting: decided by its seed, and better than it was."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fcmae.studies.reconstruction import ENCODERS, SCALES, Recipe, Setting, training
from fcmae.studies.reconstruction.model import Toy
from fcmae.studies.reconstruction.training import Data, open_data, train
from fcmae.training.devices import Runtime
from fcmae.training.engine import NonFiniteError

CPU = Runtime(torch.device("cpu"), "fp32")


@pytest.fixture
def recipe() -> Recipe:
    return replace(SCALES["small"], epochs=3, num_images=None, batch_size=8, image_size=16)


@pytest.fixture
def data(images: Path, recipe: Recipe) -> Data:
    return open_data(images, recipe, workers=0)


def run(setting: Setting, data: Data) -> tuple[Toy, list[float]]:
    losses: list[float] = []
    model = train(setting, data, CPU, interrupted=bool, after_step=lambda s: losses.append(s.loss))
    assert model is not None
    assert len(losses) == data.num_steps == 9
    return model, losses


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_loss_falls(encoder: str, recipe: Recipe, data: Data) -> None:
    data = replace(data, recipe=replace(recipe, warmup_epochs=0.0))
    _, losses = run(Setting(encoder, 4, 0), data)
    assert losses[-1] < losses[0]
    assert sum(losses[-3:]) < 0.97 * sum(losses[:3])


def test_a_seed_decides_all_and_another_decides_otherwise(data: Data) -> None:
    first, losses = run(Setting("convnext-grn", 2, 0), data)
    again, same = run(Setting("convnext-grn", 2, 0), data)
    assert same == losses
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert run(Setting("convnext-grn", 2, 1), data)[1][0] != losses[0]
    assert run(Setting("convnext-grn", 8, 0), data)[1][0] != losses[0]


def test_every_step_masks_half_in_squares_of_its_own(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def note(prediction: torch.Tensor, images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen.append(mask)
        return (prediction - images).square()

    monkeypatch.setattr(training, "squared_errors", note)
    run(Setting("convnext", 4, 0), data)
    assert all(mask.shape == (8, 4, 4) for mask in seen)
    assert all((mask.sum((1, 2)) == 8).all() for mask in seen)
    assert len({tuple(mask.flatten().tolist()) for mask in seen}) == 9


def test_an_interrupted_setting_gives_no_model(data: Data) -> None:
    asked: list[int] = []

    def interrupted() -> bool:
        asked.append(1)
        return len(asked) > 3

    options = {"interrupted": interrupted, "after_step": lambda _: None}
    assert train(Setting("convnext", 4, 0), data, CPU, **options) is None


def test_a_loss_that_is_no_number_is_said(recipe: Recipe, data: Data) -> None:
    wild = replace(recipe, base_learning_rates={"convnext": float("inf")})
    with pytest.raises(NonFiniteError, match="step"):
        run(Setting("convnext", 4, 0), replace(data, recipe=wild))
