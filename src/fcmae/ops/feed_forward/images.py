"""Which rows of packed sites belong to which image."""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from fcmae.ops.tiles import Tiles


class Images(NamedTuple):
    """The images of rows of sites, in order: rows of an image lie together."""

    starts: Tensor  # [B + 1] int64, the row at which each image begins, and the end
    of_tile: Tensor  # [M] int64, the image of each tile, ascending
    rows_per_tile: int  # t * t sites; a dense map is one tile of H * W

    @staticmethod
    def of(x: Tensor, sites: Tiles | None) -> "Images":
        """Of x [M, t, t, C] with its tiles, or [B, H, W, C]. Nothing waits for the device."""
        rows = x.shape[1] * x.shape[2]
        return _of_maps(len(x), rows, x.device) if sites is None else _of_tiles(sites, rows)


# All blocks of a stage ask for the same.


@functools.lru_cache(maxsize=8)
def _of_maps(batch: int, rows: int, device: torch.device) -> Images:
    image = torch.arange(batch + 1, device=device)
    return Images(image * rows, image[:-1], rows)


@functools.lru_cache(maxsize=8)
def _of_tiles(tiles: Tiles, rows: int) -> Images:
    numbers = torch.arange(tiles.grid[0] + 1, device=tiles.image.device)
    return Images(torch.searchsorted(tiles.image, numbers) * rows, tiles.image, rows)
