"""The histogram against counting pixels one by one."""

import pytest
import torch

from fcmae.images import IMAGENET_MEAN, IMAGENET_STD
from fcmae.probes import colour_histogram


def test_three_channels_are_counted_together() -> None:
    images = torch.rand(2, 3, 5, 7)
    images[0, :, 0, 0], images[0, :, 0, 1] = 0, 1
    low = [max(0.0, m - 3 * s) for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    high = [min(1.0, m + 3 * s) for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    assert (low, high) == ([0.0] * 3, [1.0] * 3)  # so ordinary photographs have all of 0..1
    expected = torch.zeros(2, 8, 8, 8)
    for image in range(2):
        for row in range(5):
            for column in range(7):
                bins = [min(7, int(8 * value)) for value in images[image, :, row, column].tolist()]
                expected[image, bins[0], bins[1], bins[2]] += 1 / 35
    found = colour_histogram(IMAGENET_MEAN, IMAGENET_STD)(images)
    torch.testing.assert_close(found, expected.flatten(1).sqrt())


@pytest.mark.parametrize("channels", [1, 2, 13])
def test_other_channels_are_counted_apart(channels: int) -> None:
    images = torch.rand(1, channels, 4, 3)
    found = colour_histogram([0.5] * channels, [0.3] * channels)(images)
    assert found.shape == (1, 32 * channels)
    for channel, histogram in enumerate(found.view(channels, 32)):
        expected = images[0, channel].histc(32, 0, 1) / 12
        torch.testing.assert_close(histogram.square(), expected)


def test_bins_lie_where_the_values_are() -> None:
    dark = torch.tensor([0.001, 0.0101, 0.019, 0.5]).view(1, 1, 2, 2)
    found = colour_histogram([0.01], [0.01 / 3])(dark)
    assert found.nonzero()[:, 1].tolist() == [1, 16, 30, 31]  # what lies outside: the outermost


def test_where_a_pixel_lies_does_not_matter() -> None:
    images = torch.rand(3, 3, 6, 4)
    histogram = colour_histogram(IMAGENET_MEAN, IMAGENET_STD)
    torch.testing.assert_close(histogram(images), histogram(images.flip(2, 3)))
    torch.testing.assert_close(histogram(images).norm(dim=1), torch.ones(3))
