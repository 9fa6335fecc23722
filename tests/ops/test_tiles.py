import pytest
import torch
from torch import Tensor

from fcmae.models.masks import enlarge
from fcmae.ops.tiles import Tiles, hide, num_images, spread

RAGGED = torch.tensor([[[0, 1, 1], [1, 0, 0]], [[1, 1, 1], [1, 1, 0]], [[0, 0, 0], [0, 0, 0]]]) > 0


def dense_map(side: int, channels: int, mask: Tensor = RAGGED) -> Tensor:
    batch, rows, columns = mask.shape
    return torch.randn(batch, rows * side, columns * side, channels)


@pytest.mark.parametrize("side", [8, 4, 2, 1])
@pytest.mark.parametrize("channels", [1, 13])
def test_packing_takes_the_visible_squares_in_order(side: int, channels: int) -> None:
    x = dense_map(side, channels)
    expected = [
        x[image, row * side : (row + 1) * side, column * side : (column + 1) * side]
        for image, row, column in (~RAGGED).nonzero().tolist()
    ]
    assert torch.equal(Tiles.visible(RAGGED).pack(x), torch.stack(expected))


@pytest.mark.parametrize("side", [8, 4, 2, 1])
def test_unpacking_puts_them_back_and_zero_elsewhere(side: int) -> None:
    tiles, x = Tiles.visible(RAGGED), dense_map(side, 5)
    expected = x * ~enlarge(RAGGED, side).unsqueeze(-1)
    assert torch.equal(tiles.unpack(tiles.pack(x)), expected)


def test_each_tile_knows_its_image() -> None:
    tiles = Tiles.visible(RAGGED)
    assert tiles.grid == (3, 2, 3)
    assert tiles.image.tolist() == [0] * 3 + [1] + [2] * 6
    assert tiles.index.tolist() == [0, 4, 5, 11, *range(12, 18)]


def test_gradients_pass_packing_and_unpacking_unchanged() -> None:
    tiles, x = Tiles.visible(RAGGED), dense_map(2, 3).requires_grad_()
    outer = dense_map(2, 3)
    (gradient,) = torch.autograd.grad(tiles.unpack(tiles.pack(x)), x, outer)
    assert torch.equal(gradient, outer * ~enlarge(RAGGED, 2).unsqueeze(-1))


def test_nothing_visible_and_everything_visible_are_tiles_too() -> None:
    none = Tiles.visible(torch.ones(1, 2, 3, dtype=torch.bool))
    x = dense_map(4, 2, torch.ones(1, 2, 3))
    assert none.pack(x).shape == (0, 4, 4, 2)
    assert not none.unpack(none.pack(x)).any()
    everything = Tiles.visible(torch.zeros(1, 2, 3, dtype=torch.bool))
    assert torch.equal(everything.unpack(everything.pack(x)), x)


def test_every_site_gets_the_value_of_its_image() -> None:
    tiles, values = Tiles.visible(RAGGED), torch.randn(3, 7)
    packed = spread(values, tiles)
    assert packed.shape == (10, 1, 1, 7)
    for value, image in zip(packed, tiles.image, strict=True):
        assert torch.equal(value[0, 0], values[image])
    for sites in (None, enlarge(RAGGED, 2).unsqueeze(-1)):
        assert torch.equal(spread(values, sites)[:, 0, 0], values)


def test_images_are_counted_also_where_none_of_their_tiles_is_left() -> None:
    mask = torch.ones(3, 2, 3, dtype=torch.bool)
    mask[1, 0, 0] = False
    assert num_images(torch.zeros(1, 8, 8, 4), Tiles.visible(mask)) == 3
    assert num_images(torch.zeros(3, 8, 8, 4), None) == 3


def test_hiding_lets_not_even_a_nan_through() -> None:
    masked = enlarge(RAGGED, 2).unsqueeze(-1)
    x = dense_map(2, 3)
    hidden = hide(x.masked_fill(masked, float("nan")), masked)
    assert torch.equal(hidden, x.masked_fill(masked, 0))
    for sites in (None, Tiles.visible(RAGGED)):
        assert hide(x, sites) is x
