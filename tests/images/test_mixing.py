"""Pairs are mixed as timm mixes them, from the same draws, whatever the micro-batches."""

import itertools
import random

import numpy as np
import pytest
import timm.data.mixup
import torch
from torch import Tensor

from fcmae.images.mixing import Mix, draw_mix, mix
from fcmae.images.transforms import Window


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def as_timm_pairs(batch: Tensor) -> Tensor:
    """Neighbours moved to positions i and B - 1 - i."""
    return torch.cat([batch[0::2], batch[1::2].flip(0)])


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 1.0), (0.3, 0.3), (0.5, 0.0), (0.0, 0.7)])
def test_drawing_and_mixing_are_those_of_timm_from_the_same_draws(
    mixup: float, cutmix: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(6, 3, 24, 17, generator=generator(0))
    labels = torch.tensor([4, 0, 1, 1, 12, 3])
    theirs = timm.data.mixup.Mixup(mixup, cutmix, label_smoothing=0.1, num_classes=13)
    kinds = set()
    for seed in range(60):
        dice = random.Random(seed)
        # timm draws first whether to mix at all
        uniform = itertools.chain([0.0], iter(dice.random, None))
        monkeypatch.setattr(np.random, "rand", uniform.__next__)
        monkeypatch.setattr(np.random, "beta", dice.betavariate)
        monkeypatch.setattr(np.random, "randint", lambda low, high, size, d=dice: d.randrange(high))
        expected, targets = theirs(as_timm_pairs(images), as_timm_pairs(labels))
        monkeypatch.undo()
        drawn = draw_mix((24, 17), mixup=mixup, cutmix=cutmix, seed=seed)
        kinds.add(drawn.window is None)
        ours = mix(images, labels, 13, drawn, smoothing=0.1)
        assert torch.equal(as_timm_pairs(ours[0]), expected)
        torch.testing.assert_close(as_timm_pairs(ours[1]), targets, rtol=1e-6, atol=1e-7)
    assert kinds == {kind for kind, alpha in ((True, mixup), (False, cutmix)) if alpha}


def test_draws_follow_their_distributions() -> None:
    before = random.getstate(), torch.get_rng_state()
    draws = [draw_mix((100, 50), mixup=0.8, cutmix=1.0, seed=seed) for seed in range(4000)]
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    shares = torch.tensor([drawn.share for drawn in draws if drawn.window is None])
    assert 1900 < len(shares) < 2100  # even odds
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), rel=0.05)  # of Beta(0.8, 0.8)
    for share, window in (drawn for drawn in draws if drawn.window is not None):
        assert window is not None
        top, left, height, width = window
        assert 0 <= top <= top + height <= 100
        assert 0 <= left <= left + width <= 50
        assert share == 1 - height * width / 5000


def test_without_mixup_and_cutmix_labels_are_smoothed_alone() -> None:
    drawn = draw_mix((8, 8), mixup=None, cutmix=0.0, seed=1)
    images = torch.rand(1, 13, 8, 8)
    mixed, targets = mix(images, torch.tensor([2]), 4, drawn, smoothing=0.2)
    assert torch.equal(mixed, images)
    torch.testing.assert_close(targets, torch.tensor([[0.05, 0.05, 0.85, 0.05]]))


@pytest.mark.parametrize("batch", [1, 5, 8])
@pytest.mark.parametrize("drawn", [Mix(0.3), Mix(0.75, Window(2, 1, 4, 3))])
def test_micro_batches_of_even_size_mix_as_the_whole_batch(batch: int, drawn: Mix) -> None:
    images = torch.rand(batch, 1, 8, 6, generator=generator(0))
    labels = torch.arange(batch) * 7 % 10
    whole = mix(images, labels, 10, drawn, smoothing=0.1)
    parts = [
        mix(images[i : i + 2], labels[i : i + 2], 10, drawn, smoothing=0.1)
        for i in range(0, batch, 2)
    ]
    for one, many in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(one, torch.cat(many))
    torch.testing.assert_close(whole[1].sum(1), torch.ones(batch))
    if batch % 2:
        torch.testing.assert_close(whole[0][-1], images[-1])
        assert whole[1][-1].max() == pytest.approx(0.91)


def test_labels_are_mixed_by_the_shares_of_the_pixels() -> None:
    images = torch.stack([torch.zeros(3, 30, 20), torch.ones(3, 30, 20)])
    for seed in range(40):
        drawn = draw_mix((30, 20), mixup=0.8, cutmix=1.0, seed=seed)
        mixed, targets = mix(images, torch.tensor([0, 1]), 2, drawn)
        torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets[:, 1])
    assert images.sum() == 3 * 30 * 20  # the batch itself is left alone


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cutmix -1 is negative"):
        draw_mix((8, 8), mixup=0.8, cutmix=-1, seed=0)
    for smoothing in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"label_smoothing .* is not at least 0 and below 1"):
            mix(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), 2, Mix(), smoothing=smoothing)
