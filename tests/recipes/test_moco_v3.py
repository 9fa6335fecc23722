"""MoCo v3's recipe: it has sources, and agrees with the libraries that it is said to follow."""

from typing import get_type_hints

import torch
from torch import nn
from torchvision.transforms import v2

from fcmae.recipes import MOCO_V3, TABLE_1
from fcmae.recipes.moco_v3 import MocoV3


def test_every_field_has_its_source() -> None:
    for name, hint in get_type_hints(MocoV3, include_extras=True).items():
        (text,) = hint.__metadata__
        assert "MoCo v3" in text, name


def test_numbers_agree_with_torch() -> None:
    adamw = torch.optim.AdamW(nn.Linear(2, 1).parameters())
    assert adamw.defaults["betas"] == MOCO_V3.optimizer_momentum
    jitter = v2.ColorJitter(*MOCO_V3.colour_jitter)
    assert jitter.brightness == (0.6, 1.4)
    assert jitter.hue == (-0.1, 0.1)
    v2.GaussianBlur(13, MOCO_V3.blur_sigma)


def test_rows_that_both_papers_have_are_written_alike() -> None:
    recipe = TABLE_1["A"]
    assert type(recipe.optimizer_momentum) is type(MOCO_V3.optimizer_momentum)
    assert MOCO_V3.optimizer == recipe.optimizer == "AdamW"
    assert MOCO_V3.learning_rate_schedule == recipe.learning_rate_schedule
