"""Two views of an image: from its seed alone, each changed as often and as much as it should be."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

from fcmae.images import Decoded, Order, load, open_images
from fcmae.images.pairs import PairView, blur, jitter
from fcmae.images.transforms import random_resized_crop, random_window, sample_seed, shrinkage

# It does nothing but crop.
CROP = PairView(
    size=(16, 24),
    crop_scale=(0.3, 0.9),
    horizontal_flip=0.5,
    colour_jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_probability=0.0,
    grey=0.0,
    blur=(0.0, 0.0),
    blur_sigma=(0.1, 2.0),
    solarise=(0.0, 0.0),
)
ALL = dataclasses.replace(
    CROP, jitter_probability=0.8, grey=0.2, blur=(1.0, 0.1), solarise=(0.0, 0.2)
)
SEEDS = 400


def pair_of(view: PairView, image: Tensor, seed: int) -> Tensor:
    """Both views, [2, C, H, W]."""
    return torch.stack(view(Decoded(image), None, seed))


def noise(channels: int, height: int = 30, width: int = 50) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (channels, height, width), generator=generator).byte()


def shares(view: PairView, image: Tensor) -> list[float]:
    """How many of the first views, and of the second, are not what the crop alone gives."""
    plain = dataclasses.replace(CROP, crop_scale=view.crop_scale)
    changed = [
        [
            not torch.equal(*pair)
            for pair in zip(*(pair_of(each, image, seed) for each in (view, plain)), strict=True)
        ]
        for seed in range(SEEDS)
    ]
    return torch.tensor(changed).float().mean(0).tolist()


@pytest.mark.parametrize("channels", [1, 3, 13])
def test_views_are_a_function_of_their_seed(channels: int) -> None:
    image = noise(channels)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    pairs = [pair_of(ALL, image, seed) for seed in range(10)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(pair, pair_of(ALL, image, seed)) for seed, pair in enumerate(pairs))
    both = torch.stack(pairs)
    assert both.shape == (10, 2, channels, 16, 24)
    assert both.dtype == torch.float32
    assert 0 <= both.min() < both.max() <= 1
    assert len({view.numpy().tobytes() for view in both.flatten(0, 1)}) == 20


def test_without_colours_they_are_the_two_crops_of_other_generators() -> None:
    image = noise(13)
    for number, view in enumerate(pair_of(CROP, image, 5)):
        dice = torch.Generator().manual_seed(sample_seed(5, 0, number))
        crop = random_resized_crop(Decoded(image), (16, 24), (0.3, 0.9), 0.5, generator=dice)
        assert torch.equal(view, crop)


def test_the_second_view_solarises_and_blurs_as_often_as_it_should() -> None:
    image = noise(3)
    often = shares(dataclasses.replace(CROP, blur=(1.0, 0.1), blur_sigma=(1.0, 2.0)), image)
    assert often == [1.0, pytest.approx(0.1, abs=0.05)]
    often = shares(dataclasses.replace(CROP, solarise=(0.0, 0.2)), image)
    assert often == [0.0, pytest.approx(0.2, abs=0.06)]


def test_both_views_are_jittered_and_greyed_as_often() -> None:
    image = noise(3)
    often = shares(dataclasses.replace(CROP, jitter_probability=0.8), image)
    assert often == [pytest.approx(0.8, abs=0.06)] * 2
    grey = dataclasses.replace(CROP, grey=0.2)
    assert shares(grey, image) == [pytest.approx(0.2, abs=0.06)] * 2
    views = torch.cat([pair_of(grey, image, seed) for seed in range(100)])
    colourless = (views[:, :1] == views).flatten(1).all(1)
    assert 0.1 < colourless.float().mean() < 0.3


@pytest.mark.parametrize(
    ("channels", "option", "changes"),
    [
        (1, {"jitter_probability": 1.0}, True),  # brightness and contrast are left
        (1, {"jitter_probability": 1.0, "colour_jitter": (0.0, 0.0, 0.2, 0.1)}, False),
        (1, {"grey": 1.0}, False),
        (4, {"grey": 1.0}, False),
        (13, {"jitter_probability": 1.0}, False),
        (13, {"blur": (1.0, 1.0)}, True),
        (13, {"solarise": (1.0, 1.0)}, True),
    ],
)
def test_what_needs_colours_is_left_out_where_there_are_none(
    channels: int, option: dict[str, object], changes: bool
) -> None:
    view = dataclasses.replace(CROP, **option)  # type: ignore[arg-type]
    assert (
        not torch.equal(*(pair_of(each, noise(channels), 3) for each in (view, CROP)))
    ) == changes


def test_brightness_is_multiplied_between_its_bounds() -> None:
    grey, factors = torch.full((1, 4, 4), 0.5), []
    for seed in range(SEEDS):
        dice = torch.Generator().manual_seed(seed)
        factors.append(2 * jitter(grey, (0.4, 0.0, 0.0, 0.0), dice).mean().item())
    assert 0.6 <= min(factors) < 0.62
    assert 1.38 < max(factors) <= 1.4
    assert np.mean(factors) == pytest.approx(1, abs=0.05)


def test_adjustments_come_in_any_order() -> None:
    red = torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1).expand(3, 4, 4)
    strong = (0.9, 0.9, 0.9, 0.5)
    results = {
        tuple(jitter(red, strong, torch.Generator().manual_seed(seed)).mean((1, 2)).tolist())
        for seed in range(20)
    }
    assert len(results) == 20


def test_solarising_is_that_of_pillow() -> None:
    image = noise(1)
    view = dataclasses.replace(CROP, solarise=(1.0, 0.0))
    crop, solarised = (
        (pair_of(each, image, 2)[0] * 255).round().byte()[0].numpy() for each in (CROP, view)
    )
    assert crop.min() < 128 <= crop.max()
    assert np.array_equal(solarised, np.asarray(ImageOps.solarize(Image.fromarray(crop))))


@pytest.mark.parametrize("sigma", [0.5, 1.3, 2.0])
def test_blur_is_that_of_pillow_within_a_few_grey_levels(sigma: float) -> None:
    image = noise(3, 40, 40)
    theirs = Image.fromarray(image.permute(1, 2, 0).numpy()).filter(ImageFilter.GaussianBlur(sigma))
    ours = blur(image / 255, sigma).permute(1, 2, 0).numpy() * 255
    inside = np.s_[8:-8, 8:-8]  # Pillow repeats the edge, where torch mirrors it
    difference = np.abs(ours - np.asarray(theirs))[inside]
    assert difference.mean() < 2


def test_blur_of_few_pixels() -> None:
    assert blur(torch.rand(1, 2, 3), 2.0).shape == (1, 2, 3)
    assert torch.allclose(blur(torch.ones(2, 1, 5), 2.0), torch.ones(2, 1, 5))


def test_fast_views_shrink_as_far_as_both_crops_allow() -> None:
    fast = dataclasses.replace(ALL, crop_scale=(0.05, 1.0), decoding="fast")
    alone = []
    for seed in range(60):
        factors = [fast.shrinkage(side, side, seed) for side in (30, 60, 110, 220, 440, 10_000)]
        assert factors == sorted(factors)
        assert factors[0] == 1
        assert factors[-1] == 8
        alone.append(factors[3])
        crops = [
            shrinkage(random_window(300, 400, (0.05, 1.0), generator), (16, 24))
            for generator in (
                torch.Generator().manual_seed(sample_seed(seed, 0, number)) for number in (0, 1)
            )
        ]
        assert fast.shrinkage(300, 400, seed) == min(crops)
    assert len(set(alone)) > 1
    assert ALL.shrinkage(10_000, 10_000, 3) == 1


def test_a_view_of_a_shrunk_image_is_nearly_that_of_the_whole(tmp_path: Path) -> None:
    y, x = np.mgrid[:480, :640]
    waves = np.stack([127 + 100 * np.sin(x / 40 + y / 30 + c) for c in range(3)], -1)
    Image.fromarray(waves.astype(np.uint8)).save(tmp_path / "one.jpg", quality=95)
    images = open_images(tmp_path)
    for decoding in ("exact", "fast"):
        view = dataclasses.replace(ALL, decoding=decoding)
        batches = load(
            images, Order(1, 1, 0), view=view, channels=3, seed=0, start_step=0, stop_step=3,
            micro_batch_size=1,
        )  # fmt: skip
        seen = torch.cat([torch.stack(batch.examples, 1) for batch in batches])
        assert seen.shape == (3, 2, 3, 16, 24)
        if decoding == "exact":
            expected = seen
    assert not torch.equal(seen, expected)
    assert (seen - expected).abs().mean() < 0.01


def test_a_view_can_be_copied_to_workers() -> None:
    assert pickle.loads(pickle.dumps(ALL)) == ALL
