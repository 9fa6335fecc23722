"""Recipes: what `--set` makes of them, and what every training refuses in them."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from fcmae.pretraining.masked import METHOD
from fcmae.training.recipe import check_recipe, override


@dataclass(frozen=True)
class Recipe:
    base_learning_rate: float = 1e-4
    weight_decay: float = 0.0
    optimizer_momentum: tuple[float, float] = (0.0, 0.999)
    warmup_epochs: float = 5.0
    minimum_learning_rate: float = 0.0
    crop_scale: tuple[float, float] = (1.0, 1.0)
    horizontal_flip: float = 1.0
    response: str = "grn"
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


# Set by a user: typed by what is replaced, and refused in words

PAPER = METHOD.recipe.fitted(800, 3)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("base_learning_rate=3e-4", "base_learning_rate", 3e-4),
        ("weight_decay=0", "weight_decay", 0.0),
        ("warmup_epochs=10", "warmup_epochs", 10.0),
        ("minimum_learning_rate=1e-6", "minimum_learning_rate", 1e-6),
        ("horizontal_flip=0", "horizontal_flip", 0.0),
        ("decoder_width=13", "decoder_width", 13),
        ("decoder_depth=2", "decoder_depth", 2),
        ("norm_pix=false", "norm_pix", False),
        ("norm_pix=False", "norm_pix", False),
        ("norm_pix=true", "norm_pix", True),
        ("decay_exempt=paper-code", "decay_exempt", "paper-code"),
        ("optimizer_momentum=(0.9,0.999)", "optimizer_momentum", (0.9, 0.999)),
        ("crop_scale=0.5,1", "crop_scale", (0.5, 1.0)),
        ("crop_scale=[0.5, 1]", "crop_scale", (0.5, 1.0)),
        ("decoder-width=64", "decoder_width", 64),
        (" decoder_width = 64 ", "decoder_width", 64),
    ],
)
def test_a_field_is_set_in_the_type_that_it_has(text: str, field: str, value: object) -> None:
    changed = override(PAPER, [text])
    assert getattr(changed, field) == value
    assert type(getattr(changed, field)) is type(getattr(PAPER, field))
    if isinstance(value, tuple):
        assert {type(number) for number in getattr(changed, field)} == {float}
    assert dataclasses.replace(changed, **{field: getattr(PAPER, field)}) == PAPER


def test_every_field_of_the_recipe_can_be_set() -> None:
    for field in dataclasses.fields(PAPER):
        value = getattr(PAPER, field.name)
        assert override(PAPER, [f"{field.name}={value}"]) == PAPER


def test_several_fields_are_set_together() -> None:
    changed = override(PAPER, ["weight_decay=0.1", "norm_pix=false"])
    assert (changed.weight_decay, changed.norm_pix) == (0.1, False)


def test_nothing_to_set_changes_nothing() -> None:
    assert override(PAPER, []) == PAPER


@pytest.mark.parametrize(
    "text",
    [
        "base_learning_rate=fast",
        "base_learning_rate=",
        "base_learning_rate=True",
        "base_learning_rate=(1, 2)",
        "base_learning_rate=None",
        "base_learning_rate=nan",
        "base_learning_rate=1e999",
        "base_learning_rate=1=2",
        "decoder_width=64.0",
        "decoder_width=true",
        "decoder_width=6 4",
        "norm_pix=1",
        "norm_pix=no",
        "crop_scale=0.5",
        "crop_scale={[]: 1}",
        "crop_scale=0.2, 0.5, 1.0",
        "crop_scale=('a', 'b')",
        "crop_scale=(True, 1.0)",
        "optimizer_momentum=0.9 0.999",
        "weight_decay=__import__('os')",
    ],
)
def test_a_value_of_another_type_is_refused_with_one_that_would_do(text: str) -> None:
    field, _, value = text.partition("=")
    with pytest.raises(ValueError, match="a value like") as caught:
        override(PAPER, [text])
    for word in (field, value, repr(getattr(PAPER, field))):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [("weight_decy=1", "weight_decay"), ("lr=1", ""), ("warmup=3", "warmup_epochs"), ("=3", "")],
)
def test_an_unknown_field_is_refused_with_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(ValueError, match="unknown field") as caught:
        override(PAPER, [text])
    assert f"did you mean {nearest!r}" in str(caught.value) or not nearest
    assert nearest or "base_learning_rate, weight_decay" in str(caught.value)


@pytest.mark.parametrize("text", ["weight_decay", "weight_decay:1", ""])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not of the form field=value"):
        override(PAPER, [text])


@pytest.mark.parametrize("again", ["weight_decay=2", "weight-decay=1"])
def test_a_field_that_is_set_twice_is_refused(again: str) -> None:
    with pytest.raises(ValueError, match="weight_decay is set twice"):
        override(PAPER, ["weight_decay=1", "norm_pix=true", again])
