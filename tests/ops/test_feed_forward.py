"""The passes compiled for the processor, and the whole written by hand, against the definition."""

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
from fcmae.models.masks import enlarge
from fcmae.ops.feed_forward import cpu, reference
from fcmae.ops.tiles import Sites, Tiles

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


def with_gradients(layer: Block, x: Tensor, sites: Sites, *, by: str) -> list[Tensor]:
    """What follows the convolution, and its gradients: by "kernels", "layers" or "reference"."""
    assert isinstance(layer.pwconv1, nn.Linear)
    weights = layer._weights()
    if by == "reference":
        out = reference.feed_forward(x, weights, sites, layer.norm.eps)
    elif by == "layers":
        out = layer.pwconv1(layer.norm(x))
        out = F.gelu(out)
        out = layer.pwconv2(out if layer.grn is None else layer.grn(out, sites))
    else:
        out = ops.feed_forward(x, weights, sites, layer.norm.eps, cpu)
    outer = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out).cos()
    unused = ("dwconv.weight", "dwconv.bias", "gamma")
    taking_part = [value for name, value in layer.named_parameters() if name not in unused]
    return [out.detach(), *torch.autograd.grad(out, [x, *taking_part], outer)]


def problem(channels: int, dtype: torch.dtype, sites: str) -> tuple[Tensor, Sites]:
    """An activation that wants a gradient, on a dense map, under a mask, or on tiles."""
    tiles, masked = Tiles.visible(MASK), enlarge(MASK, 4).unsqueeze(-1)
    dense = torch.randn(*masked.shape[:3], channels, dtype=dtype)
    if sites == "tiles":
        return tiles.pack(dense).requires_grad_(), tiles
    return dense.requires_grad_(), masked if sites == "masked" else None


@pytest.mark.parametrize("v2", [True, False])
@pytest.mark.parametrize("sites", ["dense", "tiles"])
@pytest.mark.parametrize("channels", [13, 1])
def test_at_once_it_is_the_reference(v2: bool, sites: str, channels: int) -> None:
    x, where = problem(channels, torch.float64, sites)
    assert ops.feed_forward_kernels(x, where) is cpu
    layer = block(channels, v2, torch.float64)
    found = (with_gradients(layer, x, where, by=by) for by in ("kernels", "reference"))
    for one, other in zip(*found, strict=True):
        within = 1e-12 * (other.abs().max().item() + 1)
        torch.testing.assert_close(one, other, rtol=0, atol=within)


def test_at_once_in_single_precision() -> None:
    x, tiles = problem(40, torch.float32, "tiles")
    layer = block(40, True, torch.float32)
    found = (with_gradients(layer, x, tiles, by=by) for by in ("kernels", "reference"))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * other.abs().max().item())


@pytest.mark.parametrize("v2", [True, False])
@pytest.mark.parametrize("sites", ["dense", "masked", "tiles"])
@dtypes
def test_the_layers_of_a_block_are_the_reference_to_the_bit(
    v2: bool, sites: str, dtype: torch.dtype
) -> None:
    x, where = problem(5, dtype, sites)
    layer = block(5, v2, dtype)
    found = (with_gradients(layer, x, where, by=by) for by in ("layers", "reference"))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("v2", [True, False])
def test_what_is_masked_is_nothing_to_the_reference(v2: bool) -> None:
    x, masked = problem(5, torch.float64, "masked")
    assert isinstance(masked, Tensor)
    tiles, layer = Tiles.visible(MASK), block(5, v2, torch.float64)
    weights = layer._weights()
    out = reference.feed_forward(x.masked_fill(masked, 1e3), weights, masked, 1e-6)
    packed = reference.feed_forward(tiles.pack(x), weights, tiles, 1e-6)
    torch.testing.assert_close(tiles.pack(out), packed, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sites", ["dense", "tiles"])
def test_a_block_at_once_is_the_block_layer_by_layer(sites: str) -> None:
    """Layer by layer because somebody listens to one."""
    x, where = problem(13, torch.float64, sites)
    layer, heard = block(13, True, torch.float64), list[int]()
    at_once = layer(x, where)
    layer.pwconv1.register_forward_hook(lambda *_: heard.append(1))
    torch.testing.assert_close(layer(x, where), at_once, rtol=1e-12, atol=1e-12)
    assert heard == [1]


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
