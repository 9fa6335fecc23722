"""What a run of MoCo v3 will be, from what was asked for and what its recipe says."""

import json
import math
from typing import Any

import plans
import pytest
from plans import pretraining_plan

from fcmae.pretraining.contrastive import METHOD, ContrastivePlan
from fcmae.recipes import MOCO_V3

# What `fcmae pretrain --method moco-v3` asks for on the paper's data when no option is given.
PAPER: dict[str, Any] = {
    **plans.PAPER,
    "method": "moco-v3",
    "model": "convnextv2_base",
    "epochs": 300,
}
OURS = {"interpolation", "precision", "decay_exempt", "frozen_stem"}  # without being asked
PUBLISHED = ("decay_exempt=nothing", "frozen_stem=true")


def plan(*assignments: str, **options: Any) -> ContrastivePlan:
    found = pretraining_plan(**{**PAPER, "assignments": assignments, **options})
    assert isinstance(found, ContrastivePlan)
    return found


def departures(settled: ContrastivePlan) -> dict[str, tuple[object, object, str]]:
    return {d.field: (d.table, d.run, d.because) for d in settled.departures}


def test_the_recipes_own_run_departs_where_we_say_why() -> None:
    settled = plan()
    found = departures(settled)
    assert set(found) == OURS
    assert "asked for" not in {because for *_, because in found.values()}
    assert set(departures(plan(*PUBLISHED))) == OURS - {"decay_exempt", "frozen_stem"}
    assert settled.batch_size == 4096
    assert settled.learning_rate == pytest.approx(2.4e-3)
    assert settled.warmup_steps == 40 * 312
    assert settled.chance == pytest.approx(0.8 * math.log(4096))


def test_the_recipe_is_moco_v3s() -> None:
    recipe = METHOD.recipe.fitted(300, 3)
    same = set(dir(recipe)) & set(dir(MOCO_V3)) - {"decay_exempt", "frozen_stem"}
    names = {name for name in same if not name.startswith("_")}
    assert len(names) == 17
    assert all(getattr(recipe, name) == getattr(MOCO_V3, name) for name in names)


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"batch_size": 128, "given": {"batch_size"}}, "batch_size", (4096, 128, "asked for")),
        ({"images": 1000}, "batch_size", (4096, 16, "1000 images: 62 steps an epoch")),
        ({"epochs": 30}, "training_epochs", (300, 30, "asked for")),
        ({"epochs": 30}, "warmup_epochs", (40.0, 4.0, "the same share of the epochs")),
        ({"image_size": (64, 32)}, "image_size", ((224, 224), (64, 32), "asked for")),
        ({"stem_stride": 1}, "stem_stride", (4, 1, "asked for")),
        ({"init": "run"}, "init", ("scratch", "run", "asked for")),
        ({"std": (1.0, 1.0, 1.0)}, "statistics", ("imagenet", "data", "asked for")),
        ({"assignments": ("temperature=1.0",)}, "temperature", (0.2, 1.0, "asked for")),
        ({"assignments": ("blur=0,0",)}, "blur", ((1.0, 0.1), (0.0, 0.0), "asked for")),
        ({"assignments": ("response=none",)}, "response", ("grn", "none", "asked for")),
    ],
)  # fmt: skip
def test_what_departs_is_said_with_its_reason(
    options: dict[str, Any], field: str, expected: tuple[object, object, str]
) -> None:
    assert departures(plan(**options))[field] == expected


@pytest.mark.parametrize(
    ("channels", "jitter"), [(1, (0.4, 0.4, 0.0, 0.0)), (13, (0.0, 0.0, 0.0, 0.0))]
)
def test_images_without_colours_have_them_left_alone(
    channels: int, jitter: tuple[float, ...]
) -> None:
    statistics = {"mean": (0.5,) * channels, "std": (0.2,) * channels}
    settled = plan(in_channels=channels, **statistics)
    assert settled.recipe.colour_jitter == jitter
    assert settled.recipe.grey == 0
    found = departures(settled)
    assert (
        found["colour_jitter"][2]
        == found["grey"][2]
        == (f"of {channels} channels there are no such colours")
    )
    with pytest.raises(ValueError, match=f"grey 0.5 .* 0 for images of {channels} channels"):
        plan("grey=0.5", in_channels=channels, **statistics)
    with pytest.raises(ValueError, match=f"colour_jitter .* images of {channels} channels"):
        plan("colour_jitter=0,0,0.1,0", in_channels=channels, **statistics)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("temperature=0", "temperature 0.0 .* more than 0"),
        ("encoder_momentum=1.5", "encoder_momentum 1.5 .* from 0 to 1"),
        ("hidden_width=0", "hidden_width 0"),
        ("projection_width=-1", "projection_width -1"),
        ("colour_jitter=0.4,0.4,0.2,0.6", "colour_jitter .* 0.5 at most"),
        ("colour_jitter=0.4,0.4", "a value like"),
        ("jitter_probability=2", "jitter_probability 2.0 .* a probability"),
        ("grey=-0.1", "grey -0.1 .* a probability"),
        ("blur=1.0,1.1", "blur .* two probabilities"),
        ("blur_sigma=2,1", "blur_sigma .* growing order"),
        ("blur_sigma=0,1", "blur_sigma .* growing order"),
        ("solarise=-1,0", "solarise .* two probabilities"),
        ("decay_exempt=all", "decay_exempt all .* fixed or paper-code or nothing"),
        ("crop_scale=0,1", "crop_scale"),
        ("norm_pix=true", "unknown field 'norm_pix'"),
        ("response=gnr", "grn"),
        ("minimum_learning_rate=1", "above the peak"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused(assignment: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(assignment)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": (40, 32)}, "image size 40x32: both sides must be multiples of 32"),
        ({"image_size": (0, 32)}, "image size 0x32"),
        ({"batch_size": 1}, "batch size 1: there is nothing to tell"),
        ({"batch_size": 0}, "batch size 0"),
        ({"epochs": 0}, "epochs 0"),
        ({"stem_stride": 3}, "stem_stride 3"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(**options)


def test_a_plan_is_json() -> None:
    stored = json.loads(json.dumps(plan().as_dict()))
    assert stored["recipe"]["colour_jitter"] == [0.4, 0.4, 0.2, 0.1]
