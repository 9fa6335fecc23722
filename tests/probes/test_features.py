"""Features of whole sets: those of each image alone, whatever the batches."""

from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import randomise

from fcmae.images import Labelled, TooManyUnreadable, evaluation_crop, open_labelled
from fcmae.models.encoder import Encoder
from fcmae.probes import Features, extract, pooled, standardise
from fcmae.training.devices import Place

CPU = Place(torch.device("cpu"), "fp32")
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


def encoder(channels: int) -> Encoder:
    return randomise(Encoder("convnextv2_atto", in_channels=channels, stem_stride=1))


@pytest.mark.parametrize("channels", [1, 13])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_each_image_has_its_own_features(tmp_path: Path, channels: int, batch_size: int) -> None:
    images = write(tmp_path, 5, channels)
    network = encoder(channels)
    mean = [0.4 + 0.01 * channel for channel in range(channels)]
    std = [0.2] * channels
    (found, flat), unreadable = extract(
        [pooled(network, mean, std, CPU), lambda pixels: pixels.mean((2, 3))],
        images,
        image_size=SIZE,
        channels=channels,
        place=CPU,
        batch_size=batch_size,
    )
    assert len(unreadable) == 0
    assert found.values.shape == (5, 320)
    assert found.values.dtype == torch.float32
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    for index in range(5):
        pixels = evaluation_crop(images.read(index, channels).pixels, SIZE)
        normalised = (pixels - torch.tensor(mean).view(-1, 1, 1)) / 0.2
        with torch.no_grad():
            expected = network(normalised[None], mode="dense").mean((2, 3))[0]
        torch.testing.assert_close(found.values[index], expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(flat.values[index], pixels.mean((1, 2)))


def test_an_unreadable_file_is_left_out_and_named(tmp_path: Path) -> None:
    write(tmp_path, 24, 3)
    (tmp_path / "train/a/04.npy").write_bytes(b"")
    told: list[int] = []
    (found,), unreadable = extract(
        [lambda pixels: pixels.mean((2, 3))],
        open_labelled(tmp_path),
        image_size=SIZE,
        channels=3,
        place=CPU,
        batch_size=5,
        done=told.append,
    )
    assert [name for name, _ in unreadable.state()] == ["a/04.npy"]
    assert found.indices.tolist() == [index for index in range(24) if index != 2]
    assert found.labels.tolist() == [0] * 11 + [1] * 12
    assert sum(told) == 24


def test_images_of_other_channels_are_refused(tmp_path: Path) -> None:
    network = pooled(encoder(13), [0.5] * 13, [0.2] * 13, CPU)
    with pytest.raises(TooManyUnreadable, match="3 channels, 13 wanted"):
        extract([network], write(tmp_path, 3, 3), image_size=SIZE, channels=13, place=CPU)


def test_what_is_no_number_names_the_image(tmp_path: Path) -> None:
    def broken(pixels: torch.Tensor) -> torch.Tensor:
        values = pixels.mean((2, 3))
        values[1, 2] = torch.nan
        return values

    with pytest.raises(ValueError, match=r"feature of a/02\.npy is not a number"):
        extract([broken], write(tmp_path, 5, 3), image_size=SIZE, channels=3, place=CPU)


def test_the_modes_of_an_encoder_are_as_before() -> None:
    network = encoder(1).train()
    network.stages[1].eval()
    modes = [part.training for part in network.modules()]
    pooled(network, [0.5], [0.2], CPU)(torch.rand(1, 1, 32, 32))
    assert [part.training for part in network.modules()] == modes


def test_low_precision_gives_float32() -> None:
    place = Place(torch.device("cpu"), "bf16")
    network, images = encoder(1), torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        low, high = (pooled(network, [0.5], [0.2], p)(images) for p in (place, CPU))
    assert low.dtype == torch.float32
    assert not torch.equal(low, high)
    torch.testing.assert_close(low, high, rtol=0.1, atol=0.1)


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
