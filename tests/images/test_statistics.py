from pathlib import Path

import numpy as np
import pytest
import torch

from fcmae.images.folders import FileSource
from fcmae.images.sets import EncodedSet
from fcmae.images.statistics import channel_statistics


def folder(root: Path, images: list[np.ndarray]) -> EncodedSet:
    paths = [root / f"{number:03d}.npy" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        np.save(path, image)
    return EncodedSet(FileSource(paths, root))


def random_images(number: int, dtype: type = np.uint8) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    images = [random.random((6, 5, 13)) ** np.arange(1, 14) for _ in range(number)]
    return [(image * 255).astype(np.uint8) if dtype is np.uint8 else image for image in images]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_and_std_are_those_of_all_pixels(tmp_path: Path, dtype: type) -> None:
    images = random_images(9, dtype)
    mean, std = channel_statistics(folder(tmp_path, images), 13)
    pixels = np.stack(images).reshape(-1, 13) / (255 if dtype is np.uint8 else 1)
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-6)


def test_images_weigh_the_same_whatever_their_size(tmp_path: Path) -> None:
    black, white = np.zeros((2, 3), np.uint8), np.full((40, 50), 255, np.uint8)
    assert channel_statistics(folder(tmp_path, [black, white]), 1) == ((0.5,), (0.5,))


def test_the_limited_choice_is_a_function_of_the_seed(tmp_path: Path) -> None:
    images = folder(tmp_path, random_images(9))
    first, again, other = (channel_statistics(images, 13, limit=3, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_unreadable_files_are_skipped(tmp_path: Path) -> None:
    images = folder(tmp_path, random_images(4))
    everything = channel_statistics(images, 13)
    (tmp_path / "002.npy").write_bytes(b"")
    assert channel_statistics(images, 13) != everything
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"no image can be read .*empty file"):
        channel_statistics(images, 13)


def test_a_constant_channel_is_named(tmp_path: Path) -> None:
    images = random_images(3)
    for image in images:
        image[..., 2] = 77
    with pytest.raises(ValueError, match=r"channel 2 .*constant in 3 images"):
        channel_statistics(folder(tmp_path, images), 13)


def test_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    channel_statistics(folder(tmp_path, random_images(2)), 13)
    assert torch.equal(torch.get_rng_state(), before)
