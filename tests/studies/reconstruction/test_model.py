"""The toy model: as large as the paper's, blind to what is masked, the same for every mask."""

import math

import pytest
import torch
from torch import Tensor

from fcmae.models.layers import GRN
from fcmae.models.masks import random_mask
from fcmae.studies.reconstruction import ENCODERS
from fcmae.studies.reconstruction.model import (
    Toy,
    pixels,
    sine_cosine,
    squared_errors,
)

EVERY = pytest.mark.parametrize("name", ENCODERS)


def toy(name: str, image_size: int = 16) -> Toy:
    torch.manual_seed(0)
    return Toy(ENCODERS[name], stride=2, image_size=image_size)


def mask_of(batch: int, size: int, image_size: int = 16, seed: int = 0) -> Tensor:
    grid = (image_size // size, image_size // size)
    return random_mask(batch, grid, 0.5, torch.Generator().manual_seed(seed))


@EVERY
def test_each_encoder_has_the_parameters_of_the_paper(name: str) -> None:
    encoder = toy(name, 32).encoder
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(600_000, rel=0.05)
    depth = len(list(encoder.children()) if "convnext" in name else encoder.blocks)
    assert depth == (4 if name == "transformer" else 6)


def test_grn_is_the_only_difference_between_the_convnexts() -> None:
    names = [
        {name for name, _ in toy(encoder).named_parameters()}
        for encoder in ("convnext", "convnext-grn")
    ]
    assert names[0] < names[1]
    assert all(".grn." in name for name in names[1] - names[0])
    assert sum(isinstance(part, GRN) for part in toy("convnext-grn").modules()) == 6


@EVERY
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_masked_values_never_reach_the_encoder(name: str, size: int) -> None:
    model, images, mask = toy(name), torch.rand(3, 3, 16, 16), mask_of(3, size)
    hidden = pixels(mask, images)
    others = [torch.where(hidden, value, images) for value in (torch.nan, 1e9)]
    predictions = [model(given, mask) for given in (images, *others)]
    assert predictions[0].shape == images.shape
    assert torch.equal(predictions[1], predictions[0])
    assert torch.equal(predictions[2], predictions[0])
    visible = torch.where(hidden, images, 1 - images)
    assert not torch.equal(model(visible, mask), predictions[0])


@EVERY
def test_a_masked_pixel_is_told_from_one_of_the_mean_colour(name: str) -> None:
    model, images = toy(name), torch.zeros(1, 3, 16, 16)
    assert not torch.equal(model.encode(images, mask_of(1, 4)), model.encode(images))


@EVERY
def test_whole_images_are_seen_as_under_a_mask_of_nothing(name: str) -> None:
    model, images = toy(name), torch.rand(1, 3, 16, 16)
    nothing = torch.zeros(1, 4, 4, dtype=torch.bool)
    maps = model.encode(images)
    assert maps.shape == (1, 8, 8, ENCODERS[name].width)
    assert torch.equal(maps, model.encode(images, nothing))


@EVERY
def test_images_of_a_batch_do_not_mix_and_places_count(name: str) -> None:
    model, images, mask = toy(name).eval(), torch.rand(2, 3, 16, 16), mask_of(2, 2)
    alone = torch.cat([model(images[i : i + 1], mask[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(model(images, mask), alone, rtol=1e-4, atol=1e-5)
    turned = model.encode(images.flip(3)).flip(2)
    assert not torch.allclose(turned, model.encode(images), atol=1e-3)


def test_the_loss_is_that_of_masked_pixels_alone() -> None:
    images, prediction, mask = torch.rand(3, 3, 8, 8), torch.rand(3, 3, 8, 8), mask_of(3, 2, 8)
    expected = [
        (prediction[b, c, y, x] - images[b, c, y, x]).item() ** 2
        for b in range(3)
        for c in range(3)
        for y in range(8)
        for x in range(8)
        if mask[b, y // 2, x // 2]
    ]
    errors = squared_errors(prediction, images, mask)
    assert len(expected) == len(errors) == 3 * 3 * 32  # half of the pixels
    torch.testing.assert_close(errors.mean(), torch.tensor(math.fsum(expected) / len(expected)))
    prediction.requires_grad_()
    squared_errors(prediction, images, mask).mean().backward()
    assert prediction.grad is not None
    assert torch.equal(prediction.grad != 0, pixels(mask, images).expand(-1, 3, -1, -1))


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_masks_are_squares_and_hide_half_exactly(size: int) -> None:
    images = torch.rand(5, 3, 32, 32)
    hidden = pixels(mask_of(5, size, 32), images)
    assert hidden.shape == (5, 1, 32, 32)
    assert (hidden.sum((1, 2, 3)) == 512).all()
    squares = hidden.unfold(2, size, size).unfold(3, size, size).flatten(4)
    assert (squares.all(4) | ~squares.any(4)).all()
    assert not torch.equal(hidden, pixels(mask_of(5, size, 32, seed=1), images))


def test_each_place_has_a_code_of_its_own() -> None:
    codes = sine_cosine(5, 12)
    for row in range(5):
        for column in range(5):
            halves = [
                [f(place / 10000 ** (i / 3)) for f in (math.sin, math.cos) for i in range(3)]
                for place in (row, column)
            ]
            torch.testing.assert_close(codes[row, column], torch.tensor([*halves[0], *halves[1]]))
    assert len(codes.flatten(0, 1).unique(dim=0)) == 25
