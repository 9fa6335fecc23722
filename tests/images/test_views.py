"""Each view is the transform that it names, of its size, from its seed."""

import pickle

import pytest
import torch

from fcmae.images.augment import augment
from fcmae.images.transforms import centre_crop, evaluation_crop, random_resized_crop
from fcmae.images.views import AugmentedView, CentreView, EvaluationView, RandomView, View

IMAGE = torch.randint(0, 256, (13, 30, 50), generator=torch.Generator().manual_seed(0)).byte()


def test_a_random_view_is_a_function_of_its_seed() -> None:
    view = RandomView((16, 24), (0.5, 0.9), 0.3)
    expected = random_resized_crop(
        IMAGE, (16, 24), (0.5, 0.9), 0.3, generator=torch.Generator().manual_seed(7)
    )
    assert torch.equal(view(IMAGE, 7), expected)
    assert not torch.equal(view(IMAGE, 8), expected)


def test_fixed_views_are_the_same_for_any_seed() -> None:
    assert torch.equal(CentreView((16, 24))(IMAGE, 1), centre_crop(IMAGE, (16, 24)))
    assert torch.equal(EvaluationView((16, 24))(IMAGE, 2), evaluation_crop(IMAGE, (16, 24)))


def test_an_augmented_view_is_a_function_of_its_seed() -> None:
    view = AugmentedView((16, 24), (0.5, 0.9), 0.5, ("RandAug", 9, 0.5), (0.5, 0.5, 0.5))
    expected = augment(
        IMAGE[:3],
        (16, 24),
        crop_scale=(0.5, 0.9),
        horizontal_flip=0.5,
        fill=(0.5, 0.5, 0.5),
        generator=torch.Generator().manual_seed(7),
    )
    assert torch.equal(view(IMAGE[:3], 7), expected)
    with pytest.raises(ValueError, match=r"8 bits.*--set rand_augment=0,0"):
        view(IMAGE[:3] / 255, 7)


@pytest.mark.parametrize(
    "view",
    [
        RandomView((8, 9)),
        AugmentedView((8, 9), (0.1, 1.0), 0.5, None, (0.5,)),
        CentreView((8, 9)),
        EvaluationView((8, 9)),
    ],
)
def test_views_travel_to_workers(view: View) -> None:
    assert pickle.loads(pickle.dumps(view)) == view
