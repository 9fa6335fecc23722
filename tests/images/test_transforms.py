import pytest
import torch
from torchvision.transforms import v2

from fcmae.images.pixels import Decoded
from fcmae.images.transforms import (
    centre_crop,
    centred_window,
    evaluation_crop,
    random_resized_crop,
    random_window,
    sample_seed,
)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(channels: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (channels, height, width), generator=generator(0)).byte()


@pytest.mark.parametrize("shape", [(3, 61, 83), (1, 40, 40), (13, 9, 200), (3, 1, 1)])
def test_crop_and_flip_are_those_of_torchvision_at_the_same_seed(
    shape: tuple[int, int, int],
) -> None:
    theirs = v2.Compose(
        [
            v2.RandomResizedCrop(
                (32, 48), scale=(0.2, 1), interpolation=v2.InterpolationMode.BICUBIC
            ),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    image = noise(*shape)
    for seed in range(30):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            expected = theirs(image)
        ours = random_resized_crop(Decoded(image), (32, 48), generator=generator(seed))
        assert torch.equal(ours, expected)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    random_resized_crop(Decoded(noise(3, 20, 30)), (8, 8), generator=generator(1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(50, 70), (1, 1), (1, 5000), (300, 2)])
def test_windows_are_within_bounds(shape: tuple[int, int]) -> None:
    for seed in range(100):
        top, left, height, width = random_window(*shape, (0.2, 1.0), generator(seed))
        assert 0 <= top < top + height <= shape[0]
        assert 0 <= left < left + width <= shape[1]


def test_areas_are_within_the_scale_and_cover_it() -> None:
    windows = [random_window(500, 500, (0.2, 1.0), generator(seed)) for seed in range(500)]
    areas = [window.height * window.width / 250_000 for window in windows]
    assert 0.19 < min(areas) < 0.22
    assert 0.9 < max(areas) <= 1


def test_half_of_the_crops_are_flipped() -> None:
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)
    crops = [
        random_resized_crop(Decoded(ramp), (8, 8), generator=generator(seed)) for seed in range(400)
    ]
    assert 160 < sum((crop[0, 0, 0] > crop[0, 0, -1]).item() for crop in crops) < 240


def test_flips_follow_their_probability() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 64, 64)
    for seed in range(20):
        never, always = (
            random_resized_crop(Decoded(ramp), (8, 8), (0.2, 1.0), share, generator=generator(seed))
            for share in (0.0, 1.0)
        )
        assert torch.equal(never.flip(-1), always)
        assert never[0, 0, 0] < never[0, 0, -1]


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_results_are_floats_between_0_and_1(kind: torch.dtype) -> None:
    edges = (torch.arange(40) // 4 % 2).expand(3, 40, 40)  # bicubic overshoots at these
    image = (edges * 255).byte() if kind == torch.uint8 else edges.float()
    for crop in (
        random_resized_crop(Decoded(image), (65, 33), generator=generator(0)),
        centre_crop(image, (65, 33)),
    ):
        assert crop.dtype == torch.float32
        assert crop.shape == (3, 65, 33)
        assert crop.is_contiguous()
        assert crop.min() == 0
        assert crop.max() == 1


def test_centre_crop_of_the_same_size_changes_nothing() -> None:
    image = noise(13, 7, 5)
    torch.testing.assert_close(centre_crop(image, (7, 5)), image / 255, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (1, 1), (33, 64)])
def test_centre_crop_of_any_shape(shape: tuple[int, int]) -> None:
    assert centre_crop(noise(1, *shape), (24, 40)).shape == (1, 24, 40)


# Evaluation


@pytest.mark.parametrize("shape", [(50, 70), (90, 61), (40, 40), (300, 200), (1, 9)])
def test_evaluation_resizes_the_shorter_side_and_cuts_the_centre(shape: tuple[int, int]) -> None:
    image = noise(3, *shape)
    pipeline = v2.Compose([
        v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
        v2.CenterCrop(224),
        v2.ToDtype(torch.float32, scale=True),
    ])  # fmt: skip
    assert torch.equal(evaluation_crop(image, (224, 224)), pipeline(image))


def test_evaluation_of_large_images_squashes() -> None:
    image = noise(2, 30, 50)
    whole = v2.functional.resize(
        image, [384, 384], interpolation=v2.InterpolationMode.BICUBIC, antialias=True
    )
    expected = whole / 255
    torch.testing.assert_close(evaluation_crop(image, (384, 384)), expected)


@pytest.mark.parametrize("shape", [(50, 70), (90, 61), (7, 100)])
def test_evaluation_of_sizes_that_are_not_square(shape: tuple[int, int]) -> None:
    image = torch.full((1, *shape), 0.5)
    seen = evaluation_crop(image, (64, 96))
    assert seen.shape == (1, 64, 96)
    assert (seen - 0.5).abs().max() < 1e-6  # no border was added


def test_centred_window_touches_two_sides() -> None:
    assert centred_window(100, 300, 1.0) == (0, 100, 100, 100)
    assert centred_window(300, 100, 2.0) == (125, 0, 50, 100)


def test_sample_seeds_differ_by_each_argument() -> None:
    seeds = {sample_seed(*numbers) for numbers in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]}
    assert len(seeds) == 4
