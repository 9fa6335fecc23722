import numpy as np
import pytest
import torch
from PIL import Image

from fcmae.images.pixels import match_channels


def rgb() -> torch.Tensor:
    return torch.randint(0, 256, (3, 31, 17), generator=torch.Generator().manual_seed(0)).byte()


def test_grey_is_repeated_for_three_channels() -> None:
    grey = torch.rand(1, 5, 3)
    assert torch.equal(match_channels(grey, 3), torch.cat([grey] * 3))


def test_luma_is_that_of_pillow_up_to_rounding() -> None:
    image = rgb()
    expected = np.array(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
    luma = match_channels(image, 1)
    assert luma.dtype == torch.uint8
    assert (luma[0].int() - torch.from_numpy(expected).int()).abs().max() <= 1


def test_luma_of_grey_colours_is_exact() -> None:
    grey = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    assert torch.equal(match_channels(grey.expand(3, -1, -1), 1), grey)


def test_luma_of_floats_stays_in_range() -> None:
    assert match_channels(torch.ones(3, 2, 2), 1).max() <= 1


def test_alpha_is_composited_over_white() -> None:
    image = torch.tensor([[100, 100, 100], [0, 0, 0], [200, 200, 200], [0, 255, 51]])
    composited = match_channels(image.byte().view(4, 1, 3), 3, alpha=True)
    assert composited[:, 0].T.tolist() == [[255, 255, 255], [100, 0, 200], [224, 204, 244]]


def test_alpha_of_grey_is_composited_and_repeated() -> None:
    image = torch.tensor([0.5, 0.0]).view(2, 1, 1)
    assert match_channels(image, 3, alpha=True).flatten().tolist() == [1, 1, 1]


def test_rgba_is_kept_when_four_channels_are_wanted() -> None:
    image = torch.rand(4, 3, 5)
    assert torch.equal(match_channels(image, 4, alpha=True), image)


def test_as_many_channels_as_wanted_are_kept() -> None:
    image = torch.rand(13, 3, 5)
    assert torch.equal(match_channels(image, 13), image)


@pytest.mark.parametrize(("found", "wanted"), [(13, 3), (1, 13), (4, 3), (2, 1), (3, 4)])
def test_any_other_number_is_an_error_with_both_counts(found: int, wanted: int) -> None:
    with pytest.raises(ValueError, match=f"{found} channels, {wanted} wanted"):
        match_channels(torch.rand(found, 2, 2), wanted)


def test_grey_with_alpha_does_not_become_four_channels() -> None:
    with pytest.raises(ValueError, match="2 channels with alpha, 4 wanted"):
        match_channels(torch.rand(2, 2, 2), 4, alpha=True)
