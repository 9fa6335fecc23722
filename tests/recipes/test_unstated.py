"""What the tables leave out: it has sources, and agrees with the tables and the libraries."""

from dataclasses import fields

import pytest
import torch
from timm.data.auto_augment import rand_augment_transform
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing
from torch import nn

from fcmae.optim.groups import EXEMPT
from fcmae.recipes import (
    ADE20K_UNSTATED,
    COCO_UNSTATED,
    FINETUNING,
    MOCO_V3,
    PRETRAINING,
    TABLE_1,
    TABLE_2,
    TABLE_4,
)

SOURCES = ("section 3", "section A.2", "Table 7", "authors' co", "V1's co")


@pytest.mark.parametrize("settings", [PRETRAINING, FINETUNING, COCO_UNSTATED, ADE20K_UNSTATED])
def test_every_field_has_its_source(settings: object) -> None:
    for field in fields(settings):  # type: ignore[arg-type]
        assert any(source in field.metadata["source"] for source in SOURCES), field.name


@pytest.mark.parametrize(("table", "settings"), [(TABLE_1, PRETRAINING), (TABLE_2, FINETUNING)])
def test_nothing_is_said_twice(table: object, settings: object) -> None:
    names = {field.name for field in fields(settings)}  # type: ignore[arg-type]
    assert not set(table.rows) & names  # type: ignore[attr-defined]


def test_augmentation_is_that_of_the_tables_in_timms_words() -> None:
    name, magnitude, deviation = TABLE_4["B"].augmentation
    assert f"rand-m{magnitude}-mstd{deviation}-inc1" == FINETUNING.rand_augment
    (first, *_) = rand_augment_transform(FINETUNING.rand_augment, {}).ops
    assert name == "RandAug"
    assert (first.magnitude, first.magnitude_std) == (9, 0.5)


def test_timm_knows_the_other_words() -> None:
    erasing = RandomErasing(FINETUNING.random_erasing, mode=FINETUNING.random_erasing_mode)
    assert erasing.per_pixel
    mixup = Mixup(
        TABLE_4["B"].mixup or 0,
        TABLE_4["B"].cutmix or 0,
        prob=FINETUNING.mixup_probability,
        switch_prob=FINETUNING.mixup_switch,
        mode=FINETUNING.mixup_mode,
        label_smoothing=TABLE_4["B"].label_smoothing,
        num_classes=5,
    )
    images, labels = mixup(torch.zeros(2, 1, 8, 6), torch.tensor([1, 4]))
    assert images.shape == (2, 1, 8, 6)
    assert labels.sum(1).tolist() == pytest.approx([1, 1])


def test_numbers_agree_with_torch_and_with_each_other() -> None:
    adamw = torch.optim.AdamW(nn.Linear(2, 1).parameters())
    assert adamw.defaults["eps"] == FINETUNING.optimizer_epsilon
    assert FINETUNING.image_size / FINETUNING.evaluation_crop_ratio == 256
    recipes = (FINETUNING, PRETRAINING, MOCO_V3)
    assert {recipe.decay_exempt for recipe in recipes} == set(EXEMPT)
    assert set(FINETUNING.layer_decay_kind.cells) == set(TABLE_1.columns)
