import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import timm.data.mixup
import timm.data.random_erasing
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from torch import Tensor

from fcmae.images.augment import augment, augmentable, erase
from fcmae.images.pixels import Decoded
from fcmae.images.transforms import random_resized_crop

MEAN = (0.485, 0.456, 0.406)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(channels: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (channels, height, width), generator=generator(0)).byte()


def photograph(channels: int = 3) -> Tensor:
    """A smooth picture: every operation shows on it."""
    down, across = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 56), indexing="ij")
    return (torch.stack([down * 0.8, across, down * across])[:channels] * 255).byte()


@contextmanager
def global_generators_unchanged() -> Iterator[None]:
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    assert random.getstate() == python
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy, strict=True))  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), pytorch)


@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_is_a_function_of_its_generator(channels: int) -> None:
    image = photograph(channels)
    results = []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)  # noqa: NPY002
        torch.manual_seed(state)
        with global_generators_unchanged():
            images = [
                augment(Decoded(image), (33, 21), fill=MEAN[:channels], generator=generator(seed))
                for seed in range(20)
            ]
        results.append(torch.stack(images))
    assert torch.equal(*results)
    assert results[0].shape == (20, channels, 33, 21)
    assert results[0].dtype == torch.float32
    assert 0 <= results[0].min() < results[0].max() <= 1
    assert len({image.numpy().tobytes() for image in results[0]}) > 15


def test_the_global_generators_are_put_back_when_an_operation_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_pixels: np.ndarray) -> Image.Image:
        random.random()
        raise MemoryError

    monkeypatch.setattr("fcmae.images.augment.Image.fromarray", fail)
    with global_generators_unchanged(), pytest.raises(MemoryError):
        augment(Decoded(photograph()), (8, 8), fill=MEAN, generator=generator(0))


def test_rand_augment_is_that_of_timm_in_the_authors_words() -> None:
    theirs = rand_augment_transform(
        "rand-m9-mstd0.5-inc1",
        {
            "translate_const": 14,
            "img_mean": (124, 116, 104),
            "interpolation": Image.Resampling.BICUBIC,
        },
    )
    image, compared = photograph(), 0
    for seed in range(150):
        draws = generator(seed)
        crop = random_resized_crop(Decoded(image), (32, 48), (0.08, 1.0), generator=draws)
        pixels = (crop * 255).round().byte().permute(1, 2, 0).numpy()
        number = int(torch.randint(2**32, (1,), generator=draws))
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002
        try:
            expected = np.asarray(theirs(Image.fromarray(pixels)))
        except ValueError:  # Pillow 13 refuses the 0 bits that timm asks for
            continue
        ours = augment(Decoded(image), (32, 48), fill=MEAN, generator=generator(seed))
        assert np.array_equal((ours * 255).round().byte().permute(1, 2, 0).numpy(), expected)
        compared += not np.array_equal(expected, pixels)
    assert compared > 75


def test_of_no_bits_that_posterisation_leaves_an_image_is_black(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alone(operations: list, layers: int, **_: object) -> list:
        (only,) = [op for op in operations if op.name == "PosterizeIncreasing"]
        return [only] * layers

    monkeypatch.setattr(np.random, "choice", alone)
    white = torch.full((3, 9, 9), 255).byte()
    levels = set()
    for seed in range(60):
        cell = ("RandAug", 10, 0.0)  # the largest magnitude: 4 - 4 bits
        result = augment(
            Decoded(white), (5, 7), rand_augment=cell, fill=MEAN, generator=generator(seed)
        )
        levels |= set(result.unique().tolist())
    assert levels == {0.0, 1.0}  # each layer is applied half of the time


def test_larger_magnitudes_change_more() -> None:
    def change(magnitude: int) -> float:
        total = 0.0
        for seed in range(60):
            plain, changed = (
                augment(
                    Decoded(photograph()),
                    (24, 24),
                    rand_augment=cell,
                    fill=MEAN,
                    generator=generator(seed),
                )
                for cell in (None, ("RandAug", magnitude, 0.0))
            )
            total += (plain - changed).abs().mean().item()
        return total

    assert change(1) < change(5) < change(9)


def test_one_channel_is_augmented_as_three_equal_ones() -> None:
    image = noise(1, 30, 20)
    for seed in range(60):
        grey = augment(Decoded(image), (19, 32), fill=[0.4], generator=generator(seed))
        colour = augment(
            Decoded(image.expand(3, -1, -1)), (19, 32), fill=[0.4] * 3, generator=generator(seed)
        )
        assert torch.equal(grey.expand(3, -1, -1), colour)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 1, 7), (3, 2, 90)])
def test_tiny_images_are_augmented(shape: tuple[int, int, int]) -> None:
    for seed in range(60):
        result = augment(
            Decoded(noise(*shape)), shape[1:], fill=[0.5] * shape[0], generator=generator(seed)
        )
        assert result.shape == shape
        assert result.isfinite().all()


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_without_rand_augment_any_image_is_cropped_and_flipped(kind: torch.dtype) -> None:
    image = noise(13, 20, 31)
    image = image if kind == torch.uint8 else image / 255
    ours = augment(
        Decoded(image), (8, 9), rand_augment=None, fill=[0.5] * 13, generator=generator(3)
    )
    assert torch.equal(
        ours, random_resized_crop(Decoded(image), (8, 9), (0.08, 1), generator=generator(3))
    )


def test_what_rand_augment_cannot_do_is_refused_with_a_remedy() -> None:
    assert [augmentable(channels) for channels in (1, 2, 3, 4, 13)] == [1, 0, 1, 0, 0]
    for image in (noise(13, 8, 8), noise(2, 8, 8), noise(3, 8, 8) / 255):
        with pytest.raises(
            ValueError, match=r"images of 8 bits and of 1 or 3 .*--set rand_augment=0,0"
        ):
            augment(Decoded(image), (8, 8), fill=[0.5] * len(image), generator=generator(0))
    with pytest.raises(ValueError, match="fill has 3 values: give one for each of 1 channels"):
        augment(Decoded(noise(1, 8, 8)), (8, 8), fill=MEAN, generator=generator(0))
    for cell in (("AutoAug", 9, 0.5), ("RandAug", 11, 0.5), ("RandAug", 9, -1.0)):
        with pytest.raises(ValueError, match=r"the paper's is \('RandAug', 9, 0\.5\)"):
            augment(
                Decoded(noise(1, 8, 8)), (8, 8), rand_augment=cell, fill=[0], generator=generator(0)
            )


@pytest.mark.parametrize("shape", [(3, 32, 48), (1, 7, 5), (13, 20, 20), (3, 1, 1)])
def test_erasing_is_that_of_timm_from_the_same_draws(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = timm.data.random_erasing.RandomErasing(0.5, mode="pixel", device="cpu")
    images = torch.randn(40, *shape, generator=generator(0))
    ours = erase(images, range(40), 0.5)
    for seed in range(40):
        dice = random.Random(seed)

        def drawn(
            _pixel: bool,
            _colour: bool,
            size: tuple[int, ...],
            *,
            dice: random.Random = dice,
            **_: object,
        ) -> Tensor:
            return torch.randn(size, generator=generator(dice.getrandbits(63)))

        monkeypatch.setattr(timm.data.random_erasing, "random", dice)
        monkeypatch.setattr(timm.data.random_erasing, "_get_pixels", drawn)
        assert torch.equal(ours[seed], theirs(images[seed].clone()))


def test_a_quarter_of_the_images_is_erased_with_noise_over_a_fiftieth_to_a_third() -> None:
    images = torch.full((800, 1, 40, 30), 100.0)
    with global_generators_unchanged():
        erased = erase(images, range(800))
    changed = erased != 100
    shares = changed.float().mean(dim=(1, 2, 3))
    hit = shares > 0
    assert 160 < hit.sum() < 240
    assert 0.01 < shares[hit].min() < 0.04
    assert 0.28 < shares.max() < 0.36
    assert abs(erased[changed].mean()) < 0.02
    assert erased[changed].std() == pytest.approx(1, abs=0.02)
    assert (images == 100).all()


def test_erasing_is_a_function_of_each_image_s_seed() -> None:
    images = torch.randn(6, 13, 16, 20, generator=generator(0))
    seeds = [3, 14, 15, 92, 6, 5]
    whole = erase(images, seeds, 1.0)
    parts = [erase(images[i : i + 1], seeds[i : i + 1], 1.0) for i in range(6)]
    assert torch.equal(whole, torch.cat(parts))
    assert (whole != images).flatten(1).any(1).all()
    assert torch.equal(erase(images, seeds, 0.0), images)
    with pytest.raises(ValueError, match=r"random erasing 1\.5 is not a probability"):
        erase(images, seeds, 1.5)
