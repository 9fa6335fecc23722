"""Windows of whole pixels as torchvision resizes them; others where they should be."""

import pytest
import torch
from torchvision.transforms import v2

from fcmae.images.resample import resample

BICUBIC = v2.InterpolationMode.BICUBIC


def noise(channels: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (channels, height, width), generator=generator).byte()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("rows", "columns", "size"),
    [
        ((0, 61), (0, 83), (24, 32)),
        ((3, 50), (11, 80), (13, 40)),
        ((5, 9), (7, 12), (17, 16)),  # enlarged
        ((60, 61), (82, 83), (2, 3)),
    ],
)
def test_whole_pixels_are_resized_as_torchvision_does(
    channels: int, rows: tuple[int, int], columns: tuple[int, int], size: tuple[int, int]
) -> None:
    image = noise(channels, 61, 83)
    expected = v2.functional.resize(
        image[:, slice(*rows), slice(*columns)].float(),
        list(size),
        interpolation=BICUBIC,
        antialias=True,
    )
    found = resample(image, rows, columns, size)
    assert found.shape == (channels, *size)
    assert found.is_contiguous()
    assert torch.equal(found * 255, (found * 255).round())
    torch.testing.assert_close(found * 255, expected.round().clamp(0, 255), rtol=0, atol=1)
    assert ((found * 255).round() != expected.round().clamp(0, 255)).float().mean() < 0.01


def test_edges_between_pixels_are_where_they_should_be() -> None:
    ramp = (2 * torch.arange(100)).byte().expand(3, 40, 100)
    for begin in (10.0, 10.25, 10.5, 10.875):
        found = resample(ramp, (0, 40), (begin, begin + 60), (8, 12)) * 255
        centres = begin + 5 * (torch.arange(12) + 0.5)
        # Away from the window's edges, beyond which nothing is known.
        expected = 2 * (centres - 0.5)
        assert (found[0, 0, 2:-2] - expected[2:-2]).abs().max() <= 0.5


def test_what_lies_beyond_the_window_has_no_influence() -> None:
    image = noise(3, 30, 30)
    changed = image.clone()
    changed[:, :4] = changed[:, 26:] = 255
    changed[:, :, :4] = changed[:, :, 26:] = 0
    window = ((4.5, 25.5), (4.25, 25.75))
    assert torch.equal(resample(image, *window, (9, 9)), resample(changed, *window, (9, 9)))


def test_the_layout_in_memory_does_not_matter() -> None:
    image = noise(3, 40, 50)
    other = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    window = ((1.5, 39.0), (0.0, 49.5))
    assert torch.equal(resample(image, *window, (7, 9)), resample(other, *window, (7, 9)))
    grey = image[:1].expand(3, -1, -1)
    assert torch.equal(resample(grey, *window, (7, 9))[2], resample(image, *window, (7, 9))[0])
