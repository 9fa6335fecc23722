"""Each view is the transform that it names, of its size, from its seed."""

import pickle

import pytest
import torch

from fcmae.images.transforms import centre_crop, evaluation_crop, random_resized_crop
from fcmae.images.views import CentreView, EvaluationView, RandomView, View

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


@pytest.mark.parametrize("view", [RandomView((8, 9)), CentreView((8, 9)), EvaluationView((8, 9))])
def test_views_travel_to_workers(view: View) -> None:
    assert pickle.loads(pickle.dumps(view)) == view
