"""Features of whole sets: those of each image alone, whatever the batches; histograms by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import randomise
from torch import Tensor

from fcmae.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Labelled,
    TooManyUnreadable,
    evaluation_crop,
    open_labelled,
)
from fcmae.inference.loop import Preprocessing, pooled
from fcmae.models.encoder import Encoder
from fcmae.probes.features import Features, colour_histogram, extract, standardise
from fcmae.training.devices import Runtime

CPU = Runtime(torch.device("cpu"), "fp32")
SIZE = (32, 40)


def write(folder: Path, images: int, channels: int) -> Labelled:
    """Noise of two classes, of sides that differ."""
    draw = np.random.default_rng(0)
    for number in range(images):
        path = folder / "train" / "ab"[number % 2] / f"{number:02d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = draw.integers(0, 255, (40 + number, 50, channels), dtype=np.uint8)
        np.save(path, noise)
    return open_labelled(folder)


def preprocessing(channels: int, batch_size: int = 64) -> Preprocessing:
    mean = tuple(0.4 + 0.01 * channel for channel in range(channels))
    return Preprocessing(SIZE, channels, mean, (0.2,) * channels, batch_size, workers=0)


def mean_colours(pixels: Tensor) -> Tensor:
    return pixels.mean((2, 3))


@pytest.mark.parametrize("channels", [1, 13])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_each_image_has_its_own_features(tmp_path: Path, channels: int, batch_size: int) -> None:
    images = write(tmp_path, 5, channels)
    network = randomise(Encoder("convnextv2_atto", in_channels=channels, stem_stride=1)).eval()
    made = preprocessing(channels, batch_size)
    (found, flat), unreadable = extract(
        lambda pixels: [pooled(network, pixels), mean_colours(pixels)], images, made, CPU
    )
    assert len(unreadable) == 0
    assert found.values.shape == (5, 320)
    assert found.values.dtype == torch.float32
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    for index in range(5):
        pixels = evaluation_crop(images.read(index, channels).pixels, SIZE)
        normalised = (pixels - torch.tensor(made.mean).view(-1, 1, 1)) / 0.2
        with torch.no_grad():
            expected = network(normalised[None], mode="dense").mean((2, 3))[0]
        torch.testing.assert_close(found.values[index], expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(flat.values[index], normalised.mean((1, 2)))


def test_an_unreadable_file_is_left_out_and_named(tmp_path: Path) -> None:
    write(tmp_path, 24, 3)
    (tmp_path / "train/a/04.npy").write_bytes(b"")
    images = open_labelled(tmp_path)
    (found,), unreadable = extract(mean_colours, images, preprocessing(3, batch_size=5), CPU)
    assert [name for name, _ in unreadable.state()] == ["a/04.npy"]
    assert found.indices.tolist() == [index for index in range(24) if index != 2]
    assert found.labels.tolist() == [0] * 11 + [1] * 12


def test_images_of_other_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TooManyUnreadable, match="3 channels, 13 wanted"):
        extract(mean_colours, write(tmp_path, 3, 3), preprocessing(13), CPU)


def test_one_of_several_processes_reads_all_images(tmp_path: Path) -> None:
    """As the first one of a pre-training run does, while the others wait."""
    runtime = Runtime(torch.device("cpu"), "fp32", rank=0, processes=2)
    (found,), _ = extract(
        mean_colours, write(tmp_path, 5, 3), preprocessing(3, batch_size=2), runtime
    )
    assert found.indices.tolist() == [0, 1, 2, 3, 4]


def test_standardised_by_train_alone() -> None:
    def features(values: torch.Tensor) -> Features:
        numbers = torch.arange(len(values))
        return Features(values, numbers, numbers)

    train = features(torch.randn(50, 4) * torch.tensor([1e-3, 1.0, 1e3, 0]) + 7)
    val = features(torch.full((1, 4), 8.0))
    scaled, others = standardise(train, val)
    torch.testing.assert_close(scaled.values.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        scaled.values.std(0, correction=0), torch.tensor([1.0, 1, 1, 0]), atol=1e-4, rtol=0
    )
    mean, std = train.values[:, 1].mean(), train.values[:, 1].std(correction=0)
    torch.testing.assert_close(others.values[0, 1], (8 - mean) / std)
    assert others.values[0, 3] == 1  # constant in train: only the mean is taken off


# The histogram against counting pixels one by one


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
    found = colour_histogram(images, IMAGENET_MEAN, IMAGENET_STD)
    torch.testing.assert_close(found, expected.flatten(1).sqrt())


@pytest.mark.parametrize("channels", [1, 2, 13])
def test_other_channels_are_counted_apart(channels: int) -> None:
    images = torch.rand(1, channels, 4, 3)
    found = colour_histogram(images, [0.5] * channels, [0.3] * channels)
    assert found.shape == (1, 32 * channels)
    for channel, histogram in enumerate(found.view(channels, 32)):
        expected = images[0, channel].histc(32, 0, 1) / 12
        torch.testing.assert_close(histogram.square(), expected)


def test_bins_lie_where_the_values_are() -> None:
    dark = torch.tensor([0.001, 0.0101, 0.019, 0.5]).view(1, 1, 2, 2)
    found = colour_histogram(dark, [0.01], [0.01 / 3])
    assert found.nonzero()[:, 1].tolist() == [1, 16, 30, 31]  # what lies outside: the outermost


def test_where_a_pixel_lies_does_not_matter() -> None:
    images = torch.rand(3, 3, 6, 4)
    found, turned = (
        colour_histogram(x, IMAGENET_MEAN, IMAGENET_STD) for x in (images, images.flip(2, 3))
    )
    torch.testing.assert_close(found, turned)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
