"""Visible patches as tiles: one flat list over the batch, with the position of each.

The encoder's strides are s, 2s, 4s, 8s, so a cell of 8s x 8s pixels is a square tile of 8, 4, 2, 1
sites a side at the four stages. `pack` gathers the visible cells of a dense map into `[M, t, t, C]`
and `unpack` puts them back; images may differ in how many of the M tiles are theirs, and the list
is sorted by image, row and column.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tiles:
    """Where the M tiles of a batch lie on its grid of cells."""

    grid: tuple[int, int, int]  # images, rows and columns of cells: B, h, w
    index: Tensor  # [M] int64, each tile's position in the flattened grid, ascending
    image: Tensor  # [M] int64, each tile's image

    @staticmethod
    def visible(mask: Tensor) -> "Tiles":
        """The cells that `mask` (bool [B, h, w], True where masked) leaves visible."""
        batch, rows, columns = mask.shape
        index = (~mask).flatten().nonzero().squeeze(1)
        return Tiles((batch, rows, columns), index, index // (rows * columns))

    def pack(self, dense: Tensor) -> Tensor:
        """Gather tiles from a dense map: [B, h*t, w*t, C] -> [M, t, t, C]."""
        batch, rows, columns = self.grid
        side, channels = dense.shape[1] // rows, dense.shape[3]
        cells = dense.reshape(batch, rows, side, columns, side, channels)
        where = self._unravel()
        return cells.permute(0, 1, 3, 2, 4, 5)[where]  # [M, t, t, C]

    def unpack(self, tiles: Tensor) -> Tensor:
        """Put tiles into a dense map, zero elsewhere: [M, t, t, C] -> [B, h*t, w*t, C]."""
        batch, rows, columns = self.grid
        side, channels = tiles.shape[1], tiles.shape[3]
        dense = tiles.new_zeros(batch, rows, side, columns, side, channels)
        dense.permute(0, 1, 3, 2, 4, 5)[self._unravel()] = tiles
        return dense.view(batch, rows * side, columns * side, channels)

    def _unravel(self) -> tuple[Tensor, Tensor, Tensor]:
        _, rows, columns = self.grid
        place = self.index % (rows * columns)
        return self.image, place // columns, place % columns


Sites = Tiles | Tensor | None
"""Which sites an activation has, the one thing that the three modes of the encoder differ in:

- None: dense, `[B, H, W, C]`, every site counts;
- a bool tensor [B, H, W, 1], True where masked: dense, masked sites hold values that do not count;
- Tiles: packed, `[M, t, t, C]`, only visible sites exist.
"""


def spread(values: Tensor, sites: Sites) -> Tensor:
    """Give every site the value of its image: [B, C] -> [B or M, 1, 1, C], to broadcast."""
    if isinstance(sites, Tiles):
        values = values[sites.image]
    return values[:, None, None, :]


def num_images(x: Tensor, sites: Sites) -> int:
    """Images in the batch that `x` belongs to."""
    return sites.grid[0] if isinstance(sites, Tiles) else x.shape[0]


def hide(x: Tensor, sites: Sites) -> Tensor:
    """Zero at masked sites; by selection, so that not even a NaN gets through."""
    return x.masked_fill(sites, 0) if isinstance(sites, Tensor) else x
