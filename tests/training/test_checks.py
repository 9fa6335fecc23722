"""What every training refuses, whatever else its recipe has."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from fcmae.training.checks import check_peak, check_recipe, check_run, settle_batch_size


@dataclass(frozen=True)
class Recipe:
    base_learning_rate: float = 1e-4
    weight_decay: float = 0.0
    optimizer_momentum: tuple[float, float] = (0.0, 0.999)
    warmup_epochs: float = 5.0
    minimum_learning_rate: float = 0.0
    crop_scale: tuple[float, float] = (1.0, 1.0)
    horizontal_flip: float = 1.0
    temperature: float = 0.2


def test_values_at_their_bounds_are_fine() -> None:
    check_recipe(Recipe(), 5, [("temperature", True, "anything")])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_learning_rate": 0}, "base_learning_rate 0 is not usable: it must be more than 0"),
        ({"weight_decay": -1e-9}, "weight_decay -1e-09 .* 0 or more"),
        ({"optimizer_momentum": (0.9, 1)}, r"optimizer_momentum \(0.9, 1\) .* two numbers from 0"),
        ({"warmup_epochs": 5.5}, "warmup_epochs 5.5 .* from 0 to the 5 epochs"),
        ({"minimum_learning_rate": -1}, "minimum_learning_rate -1 .* 0 or more"),
        ({"crop_scale": (0.5, 0.4)}, r"crop_scale \(0.5, 0.4\) .* growing order"),
        ({"horizontal_flip": 1.1}, "horizontal_flip 1.1 .* a probability"),
        ({}, "temperature 0.2 is not usable: it must be 1 or more"),
    ],
)
def test_values_that_cannot_be_used_are_named(changes: dict[str, Any], said: str) -> None:
    recipe = dataclasses.replace(Recipe(), **changes)
    with pytest.raises(ValueError, match=f"^{said}"):
        check_recipe(recipe, 5, [("temperature", recipe.temperature >= 1, "1 or more")])


@pytest.mark.parametrize(
    ("epochs", "seed", "said"),
    [(0, 0, "epochs 0: at least 1"), (1, -1, "seed -1"), (1, 1 << 63, f"seed {1 << 63}")],
)
def test_runs_without_epochs_or_with_odd_seeds_are_refused(
    epochs: int, seed: int, said: str
) -> None:
    check_run(1, (1 << 63) - 1)
    with pytest.raises(ValueError, match=said):
        check_run(epochs, seed)


def test_the_batch_size_is_the_one_asked_for_or_follows_from_the_images() -> None:
    assert settle_batch_size(30, 30, "/data", 4096) == 30
    assert settle_batch_size(None, 1024, "/data", 4096) == 32
    with pytest.raises(ValueError, match="batch size 0: at least 1"):
        settle_batch_size(0, 30, "/data", 4096)
    with pytest.raises(
        ValueError, match=r"31 is more than the 30 images .* /data: lower it, to 16"
    ):
        settle_batch_size(31, 30, "/data", 4096)


def test_a_rate_may_stay_at_its_peak_but_not_rise_above() -> None:
    check_peak(1e-4, 1e-4)
    with pytest.raises(ValueError, match=r"minimum_learning_rate 0\.0002 is above the peak, 0\.0"):
        check_peak(1e-4, 2e-4)
