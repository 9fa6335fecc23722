"""Each view is the transform that it names, of its size, from its seed."""

import pickle

import pytest
import torch

from fcmae.images.augment import augment
from fcmae.images.pixels import Decoded, Shrunk
from fcmae.images.transforms import centre_crop, evaluation_crop, random_resized_crop
from fcmae.images.views import AugmentedView, EvaluationView, RandomView, View

PIXELS = torch.randint(0, 256, (13, 30, 50), generator=torch.Generator().manual_seed(0)).byte()
IMAGE = Decoded(PIXELS)
RGB = Decoded(PIXELS[:3])


def test_a_random_view_is_a_function_of_its_seed() -> None:
    view = RandomView((16, 24), (0.5, 0.9), 0.3)
    expected = random_resized_crop(
        IMAGE, (16, 24), (0.5, 0.9), 0.3, generator=torch.Generator().manual_seed(7)
    )
    assert torch.equal(view(IMAGE, None, 7).image, expected)
    assert not torch.equal(view(IMAGE, None, 8).image, expected)


def test_fixed_views_are_the_same_for_any_seed() -> None:
    assert torch.equal(
        EvaluationView((16, 24), centre_crop)(IMAGE, None, 1).image, centre_crop(PIXELS, (16, 24))
    )
    seen = EvaluationView((16, 24))(IMAGE, None, 2).image
    assert torch.equal(seen, evaluation_crop(PIXELS, (16, 24)))


def test_an_augmented_view_is_a_function_of_its_seed() -> None:
    view = AugmentedView((16, 24), (0.5, 0.9), 0.5, ("RandAug", 9, 0.5), (0.5, 0.5, 0.5))
    expected = augment(
        RGB,
        (16, 24),
        crop_scale=(0.5, 0.9),
        horizontal_flip=0.5,
        fill=(0.5, 0.5, 0.5),
        generator=torch.Generator().manual_seed(7),
    )
    seen = view(RGB, 4, 7)
    assert torch.equal(seen.image, expected)
    assert seen.label.dtype == torch.int64
    assert seen.label.item() == 4
    with pytest.raises(ValueError, match=r"8 bits.*--set rand_augment=0,0"):
        view(Decoded(PIXELS[:3] / 255), 4, 7)


def test_soft_labels_stay_as_they_are() -> None:
    view = AugmentedView((16, 24), (0.5, 0.9), 0.5, None, (0.5, 0.5, 0.5))
    soft = torch.tensor([0.25, 0.75])
    assert torch.equal(view(RGB, soft, 7).label, soft)


def test_fast_views_shrink_as_far_as_their_crop_allows() -> None:
    fast = RandomView((16, 24), (0.9, 1.0), decoding="fast")
    augmented = AugmentedView((16, 24), (0.9, 1.0), 0.5, None, (0.5,), "fast")
    for view in (fast, augmented):
        factors = {side: view.shrinkage(side, side, 3) for side in (30, 60, 110, 220, 440, 10_000)}
        assert list(factors.values()) == sorted(factors.values())
        assert factors[30] == 1
        assert factors[110] == 2
        assert factors[10_000] == 8


@pytest.mark.parametrize(
    "view",
    [
        RandomView((16, 24)),
        AugmentedView((16, 24), (0.5, 1.0), 0.5, None, (0.5,)),
        EvaluationView((16, 24), centre_crop),
        EvaluationView((16, 24)),
    ],
)
def test_no_other_view_sees_a_shrunk_image(view: View[object, object]) -> None:
    assert {view.shrinkage(10_000, 10_000, seed) for seed in range(9)} == {1}


def test_the_window_of_a_shrunk_image_is_that_of_the_whole_one() -> None:
    ramp = torch.arange(240, dtype=torch.uint8).expand(3, 160, 240)
    for factor in (2, 4):
        shrunk = ramp.unflatten(2, (-1, factor)).float().mean(3).floor().byte()
        shrunk = shrunk[:, ::factor]
        how = Shrunk(factor, 160, 240)
        for view in (
            RandomView((16, 24), decoding="fast"),
            AugmentedView((16, 24), (0.2, 1.0), 0.5, None, (0.5, 0.5, 0.5), "fast"),
        ):
            for seed in range(10):
                far = view(Decoded(ramp), 0, seed)[0] - view(Decoded(shrunk, how), 0, seed)[0]
                assert far.abs().max() * 255 < factor + 1


@pytest.mark.parametrize(
    "view",
    [
        RandomView((8, 9)),
        AugmentedView((8, 9), (0.1, 1.0), 0.5, None, (0.5,)),
        EvaluationView((8, 9), centre_crop),
        EvaluationView((8, 9)),
    ],
)
def test_views_travel_to_workers(view: View[object, object]) -> None:
    assert pickle.loads(pickle.dumps(view)) == view
