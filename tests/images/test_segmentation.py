"""A label map is cut, resized and flipped as its image is."""

import pickle

import pytest
import torch
from torch import Tensor

from fcmae.images.pixels import Decoded, Shrunk
from fcmae.images.segmentation import (
    IGNORED,
    SegmentationView,
    crop_labels,
    draw_roaming_crop,
)
from fcmae.images.transforms import Crop, Window

FILL = (0.2, 0.4, 0.6)
SHAPES = [(61, 83), (40, 40), (9, 200), (200, 9), (1, 1)]


def dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def halves(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A picture of two colours, and the map that says which: dark on the left, bright below."""
    label_map = torch.zeros(height, width, dtype=torch.uint8)
    label_map[:, width // 3 :] = 1
    label_map[height // 2 :] = 2
    shades = torch.tensor([0, 120, 255], dtype=torch.uint8)
    return shades[label_map.long()].expand(3, -1, -1), label_map


# Label maps alone


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_window_of_the_same_size_changes_nothing(shape: tuple[int, int]) -> None:
    label_map = torch.randint(0, 150, shape, generator=dice(0)).byte()
    whole = Crop(Window(0, 0, *shape), flipped=False)
    cut = crop_labels(label_map, whole, shape)
    assert cut.dtype == torch.int64
    assert torch.equal(cut, label_map.long())
    flipped = crop_labels(label_map, whole._replace(flipped=True), shape)
    assert torch.equal(flipped, label_map.long().flip(-1))


def test_labels_are_those_that_centres_lie_in() -> None:
    label_map = torch.arange(35).view(5, 7)
    window = Window(1, 2, 4, 3)
    cut = crop_labels(label_map, Crop(window, flipped=False), (6, 2))
    for y in range(6):
        for x in range(2):
            row, column = int(1 + (y + 0.5) * 4 / 6), int(2 + (x + 0.5) * 3 / 2)
            assert cut[y, x] == label_map[row, column]


def test_resizing_by_a_whole_factor_repeats_labels() -> None:
    label_map = torch.randint(0, 9, (5, 4), generator=dice(1))
    cut = crop_labels(label_map, Crop(Window(1, 1, 3, 2), flipped=False), (9, 6))
    expected = label_map[1:4, 1:3].repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert torch.equal(cut, expected)


def test_beyond_the_edges_nothing_counts() -> None:
    label_map = torch.zeros(4, 6, dtype=torch.uint8)
    cut = crop_labels(label_map, Crop(Window(-2, -1, 8, 8), flipped=False), (8, 8))
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 1:7] = True
    assert torch.equal(cut == 0, inside)
    assert set(cut[~inside].tolist()) == {IGNORED}
    flipped = crop_labels(label_map, Crop(Window(-2, -1, 8, 8), flipped=True), (8, 8))
    assert torch.equal(flipped, cut.flip(-1))


def test_what_is_ignored_stays_so() -> None:
    label_map = torch.full((5, 5), IGNORED, dtype=torch.uint8)
    assert set(
        crop_labels(label_map, Crop(Window(0, 0, 5, 5), True), (3, 2)).unique().tolist()
    ) == {IGNORED}


# Windows


@pytest.mark.parametrize("shape", SHAPES)
def test_a_window_lies_within_the_image_or_the_image_within_it(shape: tuple[int, int]) -> None:
    for seed in range(100):
        (top, left, rows, columns), _ = draw_roaming_crop(shape, (0.2, 2.0), 0.5, dice(seed))
        for begin, length, whole in ((top, rows, shape[0]), (left, columns, shape[1])):
            assert length > 0
            if length <= whole:
                assert 0 <= begin <= whole - length
            else:
                assert whole - length <= begin <= 0


def test_areas_and_flips_are_those_asked_for() -> None:
    crops = [draw_roaming_crop((500, 400), (0.5, 2.0), 0.3, dice(seed)) for seed in range(500)]
    areas = [crop.window.height * crop.window.width / 200_000 for crop in crops]
    assert 0.49 < min(areas) < 0.53
    assert 1.95 < max(areas) < 2.01
    assert 0.24 < sum(crop.flipped for crop in crops) / 500 < 0.36


# Both together


@pytest.mark.parametrize("shape", [(61, 83), (40, 40), (30, 200)])
@pytest.mark.parametrize("scale", [(0.3, 1.0), (0.8, 2.0)])
@pytest.mark.parametrize("size", [(32, 48), (90, 90)])
def test_a_label_map_is_seen_as_its_image(
    shape: tuple[int, int], scale: tuple[float, float], size: tuple[int, int]
) -> None:
    pixels, label_map = halves(*shape)
    view = SegmentationView(size, scale, 0.5, FILL)
    shades = torch.tensor([0, 120, 255, *(round(255 * value) for value in FILL)]) / 255
    compared = 0.0
    for seed in range(20):
        image, labels = view(Decoded(pixels), label_map, seed)
        assert image.shape == (3, *size)
        assert labels.shape == size
        beyond = labels == IGNORED
        expected = shades[labels.where(~beyond, 0)].expand(3, -1, -1).clone()
        expected[:, beyond] = shades[3:, None]
        wrong = ((image - expected).abs() > 0.1).any(0)
        # Both agree wherever labels are the same all around: at borders the image is blurred.
        around = torch.nn.functional.pad(labels[None].float(), (3, 3, 3, 3), value=-1)
        near = around.unfold(1, 7, 1).unfold(2, 7, 1).flatten(3)[0]
        alike = (near == near[..., :1]).all(-1)
        assert not (wrong & alike).any()
        compared += alike.float().mean().item() / 20
    assert compared > 0.25


def test_an_example_is_a_function_of_its_seed() -> None:
    pixels, label_map = halves(40, 50)
    view = SegmentationView((16, 24), (0.5, 1.5), 0.5, FILL)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = (view(Decoded(pixels), label_map, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.label_map, again.label_map)
    assert not torch.equal(first.label_map, other.label_map)


def test_images_of_floats_are_filled_too() -> None:
    view = SegmentationView((8, 8), (4.0, 4.0), 0.0, (0.25,))
    image, labels = view(Decoded(torch.ones(1, 6, 6)), torch.zeros(6, 6), 0)
    assert image.min() == pytest.approx(0.25, abs=0.05)
    assert image[0][labels == IGNORED].mean() == pytest.approx(0.25, abs=0.05)


def test_a_label_map_of_another_size_is_refused() -> None:
    view = SegmentationView((8, 8), (0.5, 1.0), 0.5, FILL)
    pixels, label_map = halves(20, 30)
    with pytest.raises(ValueError, match="label map has 30 x 20 pixels"):
        view(Decoded(pixels), label_map.T, 0)


def test_nothing_is_shrunk() -> None:
    view = SegmentationView((8, 8), (0.5, 1.0), 0.5, FILL)
    assert view.shrinkage(10_000, 10_000, 0) == 1
    with pytest.raises(AssertionError):
        view(Decoded(halves(20, 30)[0], Shrunk(2, 40, 60)), torch.zeros(40, 60), 0)


def test_the_view_travels_to_workers() -> None:
    view = SegmentationView((8, 8), (0.5, 1.0), 0.5, FILL)
    assert pickle.loads(pickle.dumps(view)) == view
