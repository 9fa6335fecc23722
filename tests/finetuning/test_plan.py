"""What a fine-tuning run is settled to be: the table's column, and what few images need."""

import json
import math
from typing import Any

import pytest
from plans import as_given, facts_of

from fcmae.commands.finetune import Finetune
from fcmae.finetuning.plan import FinetuningPlan, FirstWeights, default_recipe, make_plan
from fcmae.models.responses import USUAL
from fcmae.recipes import TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6

IMAGENET: dict[str, Any] = {
    "model": "convnextv2_atto",
    "stage": "1k",
    "images": 1_281_167,
    "batch_size": None,
    "epochs": None,
    "init": "/runs/pretrained",
    "in_channels": 3,
    "seed": 0,
    "patience": None,
    "assignments": (),
    "given": (),
    "data": "/data/imagenet",
    "names": ["a.png"],
    "val_images": 50_000,
    "classes": ("cat", "dog"),
    "stem_stride": 4,
    "image_size": (224, 224),
    "label_share": 1.0,
    "precision": "fp16",
    "decoding": "fast",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}


FIRST = ("model", "in_channels", "stem_stride", "image_size")


def plan(**options: Any) -> FinetuningPlan:
    values = {**IMAGENET, **options}
    given, assignments = values.pop("given"), values.pop("assignments")
    facts, val_images, classes = facts_of(values), values.pop("val_images"), values.pop("classes")
    first = {name: values.pop(name) for name in FIRST}
    chosen = as_given(Finetune(out="run", set=assignments, **values), given)
    of_weights = FirstWeights(**first, response=USUAL, statistics=None)
    return make_plan(chosen, of_weights, facts, val_images, classes)


def fields(settled: FinetuningPlan) -> dict[str, tuple[object, object]]:
    return {d.field: (d.table, d.run) for d in settled.departures}


@pytest.mark.parametrize(
    ("model", "stage", "table", "letter"),
    [
        ("convnextv2_atto", "1k", TABLE_2, "A"),
        ("convnextv2_femto", "1k", TABLE_2, "F"),
        ("convnextv2_tiny", "1k", TABLE_3, "T"),
        ("convnextv2_large", "1k", TABLE_4, "L"),
        ("convnextv2_huge", "1k", TABLE_4, "H"),
        ("convnextv2_nano", "22k", TABLE_5, "N"),
        ("convnextv2_base", "22k-to-1k", TABLE_6, "B"),
        ("convnext_tiny", "1k", TABLE_3, "T"),
    ],
)
def test_the_papers_own_runs_depart_in_nothing(
    model: str, stage: str, table: Any, letter: str
) -> None:
    settled, column = plan(model=model, stage=stage), table[letter]
    assert settled.departures == ()
    assert settled.table == table.source
    assert (settled.epochs, settled.batch_size) == (column.training_epochs, column.batch_size)
    assert settled.learning_rate == pytest.approx(
        column.base_learning_rate * column.batch_size / 256
    )
    recipe = settled.recipe
    assert recipe.layer_decay == column.layer_wise_lr_decay
    assert recipe.layer_decay_kind == ("group" if letter in "BL" else "layer")
    assert (recipe.mixup, recipe.cutmix) == (column.mixup or 0, column.cutmix or 0)
    assert recipe.rand_augment == (9, 0.5)
    assert recipe.random_erasing == 0.25
    assert recipe.minimum_learning_rate == 1e-6
    assert settled.warmup_steps == (column.warmup_epochs or 0) * settled.steps_per_epoch


def test_few_images_have_what_they_need_and_each_departure_its_reason() -> None:
    settled = plan(images=4000, model="convnextv2_tiny")
    assert (settled.epochs, settled.batch_size) == (100, 64)
    assert settled.learning_rate == pytest.approx(8e-4 * math.sqrt(64 * 1024) / 256)
    assert settled.recipe.ema_warmup
    assert settled.recipe.warmup_epochs == pytest.approx(40 * 100 / 300)
    assert fields(settled) == {
        "batch_size": (1024, 64),
        "training_epochs": (300, 100),
        "learning_rate_scaling": ("linear", "square-root"),
        "warmup_epochs": (40.0, pytest.approx(40 / 3)),
        "ema_warmup": (False, True),
    }
    assert all("few images: 4000" in d.because for d in settled.departures)


def test_a_column_without_a_warm_up_gets_a_short_one_for_few_images() -> None:
    assert plan(images=500).recipe.warmup_epochs == 5  # of 100
    assert plan(images=50_001).recipe.warmup_epochs == 0


def test_from_scratch_all_layers_learn_at_the_same_rate() -> None:
    settled = plan(init="scratch")
    assert settled.recipe.layer_decay == 1
    assert fields(settled) == {"init": ("FCMAE", "scratch"), "layer_decay": (0.9, 1.0)}


def test_what_is_asked_for_is_called_so() -> None:
    settled = plan(
        epochs=20,
        batch_size=256,
        assignments=("mixup=0.3", "ema=0"),
        given={"epochs", "batch_size"},
    )
    assert {d.because for d in settled.departures} == {"asked for"}
    assert fields(settled) == {
        "training_epochs": (600, 20),
        "batch_size": (1024, 256),
        "mixup": (0.0, 0.3),
        "ema": (0.9999, 0.0),
    }


@pytest.mark.parametrize("channels", [2, 13])
def test_without_colours_there_is_no_rand_augment(channels: int) -> None:
    options: dict[str, Any] = {
        "in_channels": channels,
        "mean": (0.5,) * channels,
        "std": (0.2,) * channels,
    }
    settled = plan(**options)
    assert settled.recipe.rand_augment == (0, 0)
    assert fields(settled)["rand_augment"] == ((9.0, 0.5), (0.0, 0.0))
    with pytest.raises(ValueError, match=f"it cannot be had for {channels} channels"):
        plan(**options, assignments=("rand_augment=9,0.5",))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs 0"),
        ({"batch_size": 0}, "batch size 0"),
        ({"images": 10, "batch_size": 16}, "batch size 16 is more than the 10 .* lower it, to 10"),
        ({"patience": 0}, "patience 0"),
        ({"seed": -1}, "seed -1"),
        ({"stage": "2k"}, "unknown stage '2k': did you mean '22k'"),
        ({"stage": "22k"}, "no column at stage '22k'"),
        ({"assignments": ("layer_decay=0",)}, "layer_decay 0"),
        ({"assignments": ("layer_decay=1.1",)}, "layer_decay 1.1"),
        ({"assignments": ("layer_decay_kind=group",)}, "group.*27.*use kind 'layer'"),
        ({"assignments": ("layer_decay_kind=blocks",)}, "blocks"),
        ({"assignments": ("learning_rate_scaling=cubic",)}, "linear or square-root"),
        ({"assignments": ("drop_path=1",)}, "drop_path 1"),
        ({"assignments": ("ema=1",)}, "ema 1"),
        ({"assignments": ("mixup=-1",)}, "mixup -1"),
        ({"assignments": ("rand_augment=9.5,0.5",)}, "whole magnitude"),
        ({"assignments": ("label_smoothing=1",)}, "label_smoothing 1"),
        ({"assignments": ("weight_decy=1",)}, "did you mean 'weight_decay'"),
    ],
)
def test_what_cannot_be_run_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan(**options)


def test_a_plan_survives_its_file() -> None:
    stored = json.loads(json.dumps(plan(images=4000).as_dict()))
    assert stored["recipe"]["optimizer_momentum"] == [0.9, 0.999]
    assert stored["classes"] == ["cat", "dog"]


def test_a_default_recipe_never_warms_up_longer_than_it_runs() -> None:
    for model, table, letter in (
        ("convnextv2_atto", TABLE_2, "A"),
        ("convnextv2_tiny", TABLE_3, "T"),
        ("convnextv2_base", TABLE_4, "B"),
    ):
        for epochs in (1, 3, 700):
            for few in (True, False):
                first = FirstWeights(model, 3, 4, USUAL, (224, 224), None)
                recipe = default_recipe(first, table[letter], epochs, few=few, scratch=False)
                assert 0 <= recipe.warmup_epochs <= epochs
