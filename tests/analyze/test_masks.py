"""Block-wise masks and boxes."""

import pytest
import torch

from fcmae.analyze.masks import Box, block_mask, box_mask, parse_box
from fcmae.models.masks import random_mask


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("grid", [(7, 7), (2, 1), (3, 11), (1, 13), (14, 14)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.6])
def test_as_many_patches_are_masked_as_at_random(grid: tuple[int, int], ratio: float) -> None:
    if grid == (2, 1):
        ratio = 0.5
    mask = block_mask(5, grid, ratio, generator())
    assert mask.shape == (5, *grid)
    assert mask.dtype == torch.bool
    assert torch.equal(mask.sum((1, 2)), random_mask(5, grid, ratio, generator()).sum((1, 2)))


def neighbours(mask: torch.Tensor) -> float:
    """Of pairs of patches beside each other, the share that are alike."""
    across = mask[:, :, 1:] == mask[:, :, :-1]
    down = mask[:, 1:] == mask[:, :-1]
    return torch.cat([across.flatten(), down.flatten()]).float().mean().item()


def test_what_is_masked_hangs_together() -> None:
    blocks = block_mask(50, (14, 14), 0.4, generator())
    assert neighbours(blocks) > 0.8
    assert neighbours(random_mask(50, (14, 14), 0.4, generator())) < 0.6


def test_every_place_is_masked_now_and_then_and_images_differ() -> None:
    mask = block_mask(400, (5, 6), 0.5, generator())
    often = mask.float().mean(0)
    assert often.min() > 0.2
    assert often.max() < 0.8
    assert len({tuple(image.flatten().tolist()) for image in mask}) > 300


def test_the_same_state_gives_the_same_mask() -> None:
    one, other = (block_mask(3, (7, 9), 0.6, generator(5)) for _ in range(2))
    assert torch.equal(one, other)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.99])
def test_a_ratio_that_leaves_nothing_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="mask ratio"):
        block_mask(1, (7, 7), ratio, generator())


def test_a_patch_is_masked_where_a_box_touches_it() -> None:
    # Of 4 x 6 patches of 8 pixels: one pixel of each neighbour, an edge that only meets one, a
    # corner pixel.
    boxes = [Box(7, 15, 2, 2), Box(24, 0, 8, 8), Box(47, 31, 1, 1)]
    mask = box_mask(boxes, (32, 48), 8)
    assert [tuple(place) for place in mask.nonzero().tolist()] == [
        (0, 3),
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
        (3, 5),
    ]


@pytest.mark.parametrize("patch_size", [1, 2, 5, 10])
def test_a_patch_is_masked_if_any_of_its_pixels_is_in_a_box(patch_size: int) -> None:
    boxes = [Box(3, 7, 4, 11), Box(0, 0, 1, 1), Box(12, 2, 8, 3)]
    pixels = torch.zeros(20, 30, dtype=torch.bool)
    for box in boxes:
        for y in range(box.y, box.y + box.height):
            for x in range(box.x, box.x + box.width):
                pixels[y, x] = True
    rows, columns = 20 // patch_size, 30 // patch_size
    cells = pixels.view(rows, patch_size, columns, patch_size)
    assert torch.equal(box_mask(boxes, (20, 30), patch_size), cells.any(3).any(1))


@pytest.mark.parametrize("box", [Box(-1, 0, 4, 4), Box(0, 29, 4, 4), Box(45, 0, 4, 4)])
def test_a_box_beyond_the_image_is_refused(box: Box) -> None:
    with pytest.raises(ValueError, match="not within the image of 32 x 48 pixels"):
        box_mask([box], (32, 48), 8)


def test_boxes_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="touch all patches of 16 pixels"):
        box_mask([Box(15, 0, 2, 32)], (32, 32), 16)


def test_boxes_are_read_from_four_numbers() -> None:
    assert parse_box("16, 0,32,48") == Box(x=16, y=0, width=32, height=48)


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "1,2,0,4", "1,2,3,-4", "a,b,c,d", "1.5,0,2,2"]
)
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="x,y,width,height in whole pixels"):
        parse_box(text)
