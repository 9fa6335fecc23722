"""MoCo v3's recipe: it has sources, and agrees with the libraries that it is said to follow."""

from dataclasses import fields

import torch
from torch import nn
from torchvision.transforms import v2

from fcmae.recipes import MOCO_V3, TABLE_1


def test_every_field_has_its_source() -> None:
    for field in fields(MOCO_V3):
        assert "MoCo v3" in field.metadata["source"], field.name


def test_numbers_agree_with_torch() -> None:
    adamw = torch.optim.AdamW(nn.Linear(2, 1).parameters())
    assert adamw.defaults["betas"] == MOCO_V3.optimizer_momentum
    jitter = v2.ColorJitter(*MOCO_V3.colour_jitter)
    assert jitter.brightness == (0.6, 1.4)
    assert jitter.hue == (-0.1, 0.1)


def test_numbers_are_those_of_the_paper_and_its_code() -> None:
    # Chen, Xie and He 2021: section 5, "optimizer" and "MLP heads", and 4.2; the released training
    # script's arguments and augmentations for ViT-B.
    assert (MOCO_V3.batch_size, MOCO_V3.training_epochs, MOCO_V3.warmup_epochs) == (4096, 300, 40)
    assert (MOCO_V3.base_learning_rate, MOCO_V3.weight_decay) == (1.5e-4, 0.1)
    assert (MOCO_V3.temperature, MOCO_V3.encoder_momentum) == (0.2, 0.99)
    assert (MOCO_V3.hidden_width, MOCO_V3.projection_width) == (4096, 256)
    assert (MOCO_V3.image_size, MOCO_V3.crop_scale) == (224, (0.08, 1.0))
    assert (MOCO_V3.colour_jitter, MOCO_V3.jitter_probability) == ((0.4, 0.4, 0.2, 0.1), 0.8)
    assert (MOCO_V3.grey, MOCO_V3.horizontal_flip) == (0.2, 0.5)
    assert (MOCO_V3.blur, MOCO_V3.solarise) == ((1.0, 0.1), (0.0, 0.2))
    assert MOCO_V3.blur_sigma == (0.1, 2.0)
    assert MOCO_V3.frozen_stem


def test_rows_that_both_papers_have_are_written_alike() -> None:
    recipe = TABLE_1["A"]
    assert type(recipe.optimizer_momentum) is type(MOCO_V3.optimizer_momentum)
    assert MOCO_V3.optimizer == recipe.optimizer == "AdamW"
    assert MOCO_V3.learning_rate_schedule == recipe.learning_rate_schedule
