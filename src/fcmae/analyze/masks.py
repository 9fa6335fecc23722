"""Masks that training does not draw: rectangles of patches, and boxes given in pixels."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fcmae.models.masks import num_visible

RANDOM, BLOCK, BOXES = KINDS = ("random", "block", "boxes")
LEAST = 4  # patches of a rectangle, where so many are still to be masked
ASPECTS = (0.3, 1 / 0.3)  # height over width of a rectangle; these bounds are those of BEiT


class Box(NamedTuple):
    """A rectangle of pixels."""

    x: int  # of its left edge
    y: int  # of its upper edge
    width: int
    height: int


def block_mask(
    batch: int, grid: tuple[int, int], ratio: float, generator: torch.Generator
) -> Tensor:
    """Mask rectangles of patches, image by image, until as many are masked as at random.

    As in BEiT (Bao et al. 2022): area and aspect ratio are drawn, then the place; rectangles may
    overlap, and of the last one only as many patches are masked as are needed, row by row.

    Args:
        batch: number of images, B.
        grid: rows and columns of patches, (h, w).
        ratio: share of the patches to mask.
        generator: draws the rectangles.

    Returns:
        bool [B, h, w], True where masked.

    Raises:
        ValueError: if no patch would stay visible, or none be masked.
    """
    wanted = math.prod(grid) - num_visible(math.prod(grid), ratio)
    masks = torch.zeros(batch, *grid, dtype=torch.bool)
    for mask in masks:
        while (left := wanted - int(mask.sum())) > 0:
            part = mask[_rectangle(grid, left, generator)]
            fresh = (~part).nonzero()[:left]
            part[tuple(fresh.T)] = True
    return masks


def _rectangle(grid: tuple[int, int], most: int, generator: torch.Generator) -> tuple[slice, slice]:
    """Rows and columns of a rectangle of about up to `most` patches."""
    size, shape, top, left = torch.rand(4, generator=generator).tolist()
    area = min(LEAST, most) + size * (most - min(LEAST, most))
    aspect = ASPECTS[0] * (ASPECTS[1] / ASPECTS[0]) ** shape
    sides = (math.sqrt(area * aspect), math.sqrt(area / aspect))
    height, width = (min(max(round(side), 1), room) for side, room in zip(sides, grid, strict=True))
    row, column = int(top * (grid[0] - height + 1)), int(left * (grid[1] - width + 1))
    return slice(row, row + height), slice(column, column + width)


def parse_box(text: str) -> Box:
    """Read "x,y,width,height".

    Raises:
        ValueError: unless it is four whole numbers, of which the last two are positive.
    """
    try:
        box = Box(*(int(number) for number in text.split(",")))
    except (ValueError, TypeError):
        box = Box(0, 0, 0, 0)
    if min(box.width, box.height) < 1:
        raise ValueError(
            f"boxes {text!r}: x,y,width,height in whole pixels is needed, as in 16,0,32,48"
        )
    return box


def box_mask(boxes: Sequence[Box], size: tuple[int, int], patch_size: int) -> Tensor:
    """Mask every patch that a box touches.

    Args:
        boxes: in pixels of the image.
        size: height and width of the image, multiples of the patch size.
        patch_size: pixels a side of a patch.

    Returns:
        bool [h, w], True where masked.

    Raises:
        ValueError: if a box is not within the image, there is none, or no patch stays visible.
    """
    if not boxes:
        raise ValueError("boxes: mask 'boxes' needs some: give --boxes x,y,width,height ...")
    mask = torch.zeros(size[0] // patch_size, size[1] // patch_size, dtype=torch.bool)
    for box in boxes:
        right, bottom = box.x + box.width, box.y + box.height
        if min(box.x, box.y) < 0 or right > size[1] or bottom > size[0]:
            raise ValueError(
                f"boxes {','.join(map(str, box))}: it is not within the image of {size[0]} x "
                f"{size[1]} pixels (height x width)"
            )
        rows = slice(box.y // patch_size, -(-bottom // patch_size))
        mask[rows, box.x // patch_size : -(-right // patch_size)] = True
    if mask.all():
        raise ValueError(
            f"boxes: they touch all patches of {patch_size} pixels, and none stays visible: give "
            "smaller boxes, larger images or smaller patches"
        )
    return mask
