"""What the study is trained and measured on."""

from dataclasses import replace
from pathlib import Path

import torch

from fcmae.studies.reconstruction import SCALES
from fcmae.studies.reconstruction.training import open_data, part


def test_a_part_has_the_same_share_of_each_class(images: Path) -> None:
    recipe = replace(SCALES["small"], num_images=12, num_val_images=6, batch_size=4, image_size=16)
    data = open_data(images, recipe, workers=0)
    assert data.train.counts() == [2] * 6
    assert data.val.counts() == [1] * 6
    assert data.pictures.shape == (6, 3, 16, 16)
    again = open_data(images, recipe, workers=0)
    names = [[one.train.name(i) for i in range(12)] for one in (data, again)]
    assert names[0] == names[1]
    whole = open_data(images, replace(recipe, num_images=None, num_val_images=99), workers=0)
    assert (len(whole.train), len(whole.val)) == (24, 12)
    assert part(whole.val, 12) is whole.val


def test_standardised_images_have_their_colours_back(images: Path) -> None:
    recipe = replace(SCALES["small"], num_images=None, batch_size=4, image_size=16)
    data = open_data(images, recipe, workers=0)
    pixels = torch.stack([data.train.read(i, 3).pixels[:, :16, :16] / 255 for i in range(24)])
    standardised = data.standardised(pixels)
    assert standardised.mean().abs() < 0.05
    assert abs(standardised.std() - 1) < 0.05
    torch.testing.assert_close(data.coloured(standardised), pixels, atol=1e-5, rtol=0)
