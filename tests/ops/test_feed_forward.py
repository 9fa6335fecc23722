"""The passes compiled for the processor, and the whole written by hand, against plain layers."""

import numba
import pytest
import torch
import torch.nn.functional as F
from feed_forward_checks import (
    TILES,
    check_activations,
    check_an_image_without_rows,
    check_normalisation,
    images_of,
)
from torch import Tensor, nn

from fcmae import ops
from fcmae.models.layers import Block
from fcmae.ops.feed_forward import cpu
from fcmae.ops.tiles import Tiles

MASK = torch.tensor([[[0, 1, 0], [1, 1, 1]], [[1, 1, 1], [1, 1, 1]], [[0, 0, 0], [1, 0, 1]]]) > 0
tiles = pytest.mark.parametrize("tiles", TILES.values(), ids=TILES)
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


@dtypes
@pytest.mark.parametrize(("rows", "channels"), [(70, 13), (3, 160), (5, 1), (0, 8)])
def test_normalisation_and_its_gradients(rows: int, channels: int, dtype: torch.dtype) -> None:
    check_normalisation(cpu, "cpu", rows, channels, dtype)


@dtypes
@tiles
@pytest.mark.parametrize("grn", [True, False])
def test_activations_sums_and_gradients(
    tiles: tuple[list[int], int], dtype: torch.dtype, grn: bool
) -> None:
    check_activations(cpu, images_of(tiles, "cpu"), 13, dtype, grn=grn)


def test_an_image_without_rows_sums_to_zero() -> None:
    check_an_image_without_rows(cpu, "cpu")


def test_gelu_in_single_precision_is_as_good_as_the_library_s_from_end_to_end() -> None:
    x = torch.cat([torch.linspace(-20, 20, 40001), torch.tensor([0.0, 1e-38, 3e38, torch.inf])])
    images = images_of(([1], 1), "cpu")
    out = cpu.activate(x[None], None, None, images)[0]
    exact = F.gelu(x.double())
    error, usual = ((each - exact).abs()[:-2].max() for each in (out, F.gelu(x)))
    assert error <= max(usual, torch.tensor(2e-6))
    assert torch.equal(out[-2:], x[-2:])
    tail = (x < -1) & (x > -5)  # where the library's loses its digits
    assert ((out - exact).abs() / exact.abs())[tail].max() < 2e-5
    assert cpu.activate(torch.tensor([[torch.nan]]), None, None, images).isnan().all()


def test_the_number_of_threads_changes_no_bit() -> None:
    images = images_of(([5, 0, 9], 16), "cpu")
    h, gradient = torch.randn(2, 224, 37)
    factor = torch.randn(3, 37)
    usual = torch.get_num_threads()
    results: list[list[Tensor]] = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            _, sums, total = cpu.products(h, gradient, factor, None, images)
            assert sums is not None
            assert total is not None
            results.append([cpu.squares(h, images), sums, total])
    finally:
        torch.set_num_threads(usual)
    assert all(map(torch.equal, *results))


def block(channels: int, v2: bool, dtype: torch.dtype) -> Block:
    layer = Block(channels, v2=v2).to(dtype)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


def both_ways(layer: Block, x: Tensor, sites: Tiles | None) -> tuple[list[Tensor], list[Tensor]]:
    """Result and gradients at once, and layer by layer because somebody listens to one."""
    results = []
    heard: list[int] = []
    for listening in (False, True):
        if listening:
            layer.pwconv1.register_forward_hook(lambda *_: heard.append(1))
        out = layer(x, sites)
        outer = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out).cos()
        results.append([out, *torch.autograd.grad(out, [x, *layer.parameters()], outer)])
        assert len(heard) == listening
    return results[0], results[1]


@pytest.mark.parametrize("v2", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("channels", [13, 1])
def test_a_block_at_once_is_the_block_layer_by_layer(v2: bool, packed: bool, channels: int) -> None:
    sites = Tiles.visible(MASK) if packed else None
    shape = (len(sites.index), 4, 4) if sites else (2, 5, 7)
    x = torch.randn(*shape, channels, dtype=torch.float64, requires_grad=True)
    assert ops.compiled_for("feed_forward", x, sites) is cpu
    for one, other in zip(*both_ways(block(channels, v2, torch.float64), x, sites), strict=True):
        within = 1e-12 * (other.detach().abs().max().item() + 1)
        torch.testing.assert_close(one, other, rtol=0, atol=within)


def test_a_block_at_once_in_single_precision() -> None:
    tiles = Tiles.visible(MASK)
    x = torch.randn(len(tiles.index), 2, 2, 40, requires_grad=True)
    for one, other in zip(*both_ways(block(40, True, torch.float32), x, tiles), strict=True):
        within = 1e-5 * other.detach().abs().max().item()
        torch.testing.assert_close(one, other, rtol=0, atol=within)


def test_less_is_kept_for_the_backward_pass() -> None:
    """Of C channels: what enters the convolution, what LayerNorm leaves, and 4C before GELU."""
    layer, x = Block(64), torch.randn(2, 16, 16, 64)
    kept: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        layer(x.requires_grad_(), None)
    parameters = sum(p.numel() * 4 for p in layer.parameters())
    assert sum(kept.values()) - parameters <= (6 * 64 + 1) * 4 * 512 + 4 * 2 * 256


def test_a_layer_that_was_exchanged_is_used() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    layer, x = block(8, False, torch.float64), torch.randn(1, 4, 4, 8, dtype=torch.float64)
    assert layer.gamma is not None
    nn.init.zeros_(layer.pwconv2.bias)
    plain = layer(x) - x
    exchanged = Doubled(32, 8, bias=True).double()
    exchanged.load_state_dict(layer.pwconv2.state_dict())
    layer.pwconv2 = exchanged
    torch.testing.assert_close(layer(x) - x, 2 * plain)


def test_numba_keeps_what_it_compiled() -> None:
    images = images_of(([1], 4), "cpu")
    cpu.squares(torch.randn(4, 3), images)
    for kernel in (cpu._squares, cpu._activate):
        assert isinstance(kernel, numba.core.dispatcher.Dispatcher)
        assert kernel._cache.cache_path
