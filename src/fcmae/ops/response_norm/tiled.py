"""On packed tiles: squares summed over each tile, then over the tiles of each image."""

from torch import Tensor

from fcmae.ops.response_norm.reference import divide, sum_of_squares
from fcmae.ops.tiles import Tiles


def response_norm(x: Tensor, tiles: Tiles) -> Tensor:
    """x [M, t, t, C] -> [B, C]."""
    tile = sum_of_squares(x)  # [M, C]
    image = tile.new_zeros(tiles.grid[0], tile.shape[1]).index_add(0, tiles.image, tile)
    return divide(image)
