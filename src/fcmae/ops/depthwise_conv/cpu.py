"""Compiled for the processor by numba: on packed tiles without any dense map.

A square of sites and their halo is copied, some channels at a time, to where it stays in the
nearest cache, and is convolved there. On dense maps the library's own forward pass is as fast; only
its backward passes are not.
"""

import functools
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fcmae.ops.numba_kernels import array, compiled, threaded, use_torch_threads
from fcmae.ops.tiles import Tiles

CHUNKS = 16  # partial sums of the weight gradient: a constant, so that threads change no bit
SIDE = 8  # sites of a square on a dense map
at = np.uintp  # an index that cannot be negative; of others the compiled code checks the sign


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor, sites: Tiles | None) -> Tensor:
    """x [M, t, t, C] or [B, H, W, C], weight [C, 1, k, k], bias [C] -> the shape of x.

    In float32 or float64.
    """
    result: Tensor = _DepthwiseConv.apply(x, weight, bias, sites)
    return result


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, sites: Tiles | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.sites = sites
        return _convolved(x, weight, bias, sites)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        outer = gradients[0].contiguous()
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            # The transpose of a stride-1 convolution is the convolution with the flipped kernel.
            grad_x = _convolved(outer, weight.flip(2, 3), None, ctx.sites)
        if ctx.needs_input_grad[1]:
            grad_weight = _correlated(x, outer, weight.shape[2], ctx.sites)
        if ctx.needs_input_grad[2]:
            grad_bias = outer.flatten(0, 2).sum(0)
        return grad_x, grad_weight, grad_bias, None


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, sites: Tiles | None) -> Tensor:
    kernel = weight.shape[2]
    if sites is None:
        maps = x.permute(0, 3, 1, 2)  # [B, C, H, W], channels last in memory
        maps = F.conv2d(maps, weight, bias, padding=kernel // 2, groups=weight.shape[0])
        return maps.permute(0, 2, 3, 1)
    squares = _squares_of_tiles(sites, x.shape[1], kernel // 2)
    lengths = _lengths(x.shape[1], kernel)
    taps = _blocks(weight.flatten(1).t(), lengths)  # [blocks, k * k, channels]
    shift = x.new_zeros(1, x.shape[3]) if bias is None else bias[None]
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    use_torch_threads()
    _convolve_squares(
        _flat(x), squares, array(taps), array(_blocks(shift, lengths)[:, 0]), _flat(out), *lengths
    )
    return out


def _correlated(x: Tensor, outer: Tensor, kernel: int, sites: Tiles | None) -> Tensor:
    channels = x.shape[3]
    if sites is None:
        side, squares = SIDE, _squares_of_map(tuple(x.shape[:3]), kernel // 2)
    else:
        side, squares = x.shape[1], _squares_of_tiles(sites, x.shape[1], kernel // 2)
    lengths = _lengths(side, kernel)
    blocks = -(-channels // len(lengths.channels))
    sums = x.new_empty(blocks, CHUNKS, kernel**2, len(lengths.channels))
    use_torch_threads()
    _correlate_squares(_flat(x), squares, _flat(outer), array(sums), *lengths)
    gradient = sums.sum(1).transpose(1, 2).flatten(0, 1)  # [C and more, k * k]
    return gradient[:channels].reshape(channels, 1, kernel, kernel)


def _flat(x: Tensor) -> np.ndarray:
    return array(x).reshape(-1, x.shape[3])  # [sites, C]


class _Lengths(NamedTuple):
    """Of a square, of a block of channels and of the kernel: tuples of so many zeros."""

    side: tuple[int, ...]
    channels: tuple[int, ...]  # of a block: its squares and taps fit the nearest cache
    kernel: tuple[int, ...]


def _lengths(side: int, kernel: int) -> _Lengths:
    return _Lengths((0,) * side, (0,) * (32 if side > 2 else 64), (0,) * kernel)


def _blocks(x: Tensor, lengths: _Lengths) -> Tensor:
    """Channels in blocks, zero beyond the last: [n, C] -> [blocks, n, channels]."""
    size = len(lengths.channels)
    padded = F.pad(x, (0, -x.shape[1] % size))
    return padded.view(len(x), -1, size).transpose(0, 1).contiguous()


# A square is a table of its sites and their halo: where each lies in memory, -1 where none is.


@functools.lru_cache(maxsize=8)
def _squares_of_tiles(tiles: Tiles, side: int, halo: int) -> np.ndarray:
    """One square a tile: [M, n, n]."""
    batch, rows, columns = tiles.grid
    margin = -(-halo // side)  # cells that the halo reaches over
    slots = np.full((batch, rows + 2 * margin, columns + 2 * margin), -1, dtype=np.int32)
    image, place = np.divmod(tiles.index.numpy(), rows * columns)
    row, column = np.divmod(place, columns)
    slots[image, row + margin, column + margin] = np.arange(len(image))
    cell, within = np.divmod(np.arange(-halo, side + halo), side)  # of the sites of a line
    down, along = row[:, None] + margin + cell, column[:, None] + margin + cell  # [M, n]
    tile = slots[image[:, None, None], down[:, :, None], along[:, None, :]]  # [M, n, n]
    site = within[:, None] * side + within
    return np.where(tile < 0, -1, tile * side**2 + site).astype(np.int32)


@functools.lru_cache(maxsize=8)
def _squares_of_map(shape: tuple[int, int, int], halo: int) -> np.ndarray:
    """Squares that cover dense maps, and may reach beyond their edges: [Q, n, n]."""
    batch, height, width = shape
    sites = np.arange(batch * height * width, dtype=np.int32).reshape(shape)
    down, across = -height % SIDE + halo, -width % SIDE + halo
    sites = np.pad(sites, ((0, 0), (halo, down), (halo, across)), constant_values=-1)
    reach = SIDE + 2 * halo
    windows = np.lib.stride_tricks.sliding_window_view(sites, (reach, reach), axis=(1, 2))
    return windows[:, ::SIDE, ::SIDE].reshape(-1, reach, reach).copy()


inlined = numba.njit(inline="always")


@inlined
def _load(x, sites, first, width, square, side, offset):  # type: ignore[no-untyped-def]
    """Channels of side x side sites into a square; zeros where there is no site."""
    # `width` is not known to the compiler: loops of known length it would unroll into single moves
    # before it thought of vectors.
    for i in range(side):
        for j in range(side):
            site = sites[i + offset, j + offset]
            if site < 0:
                for c in range(width):
                    square[i, j, c] = 0
            else:
                for c in range(width):
                    square[i, j, c] = x[at(site), at(first + c)]


# Numbers that the compiler must know are handed over as the lengths of tuples: loops over taps then
# become straight code, and of arrays with a fixed shape it knows how far apart their numbers lie.


@compiled
def _convolve_part(x, squares, taps, bias, first, out, sides, blocks, kernels):  # type: ignore[no-untyped-def]
    side, channels, kernel = len(sides), len(blocks), len(kernels)
    halo, most = kernel // 2, side + kernel - 1
    width = min(channels, x.shape[1] - first)
    square = np.empty((most, most, channels), x.dtype)
    result = np.empty((side, side, channels), x.dtype)
    tap = np.empty((kernel, kernel, channels), x.dtype)
    for i in range(kernel):
        for j in range(kernel):
            for c in range(taps.shape[1]):
                tap[i, j, c] = taps[i * kernel + j, c]
    for q in range(len(squares)):
        _load(x, squares[q], first, width, square, most, 0)
        for y in range(side):
            for z in range(side):
                for c in range(width):
                    result[y, z, c] = bias[c]
        if side % 4 == 0:
            _convolve_by_four(square, tap, result, sides, blocks, kernels)
        else:
            _convolve(square, tap, result, sides, blocks, kernels)
        _store(result, squares[q], first, width, out, side, halo)


@inlined
def _store(result, sites, first, width, out, side, halo):  # type: ignore[no-untyped-def]
    for y in range(side):
        for z in range(side):
            site = sites[y + halo, z + halo]
            for c in range(width):
                out[at(site), at(first + c)] = result[y, z, c]


@inlined
def _convolve_by_four(square, tap, result, sides, blocks, kernels):  # type: ignore[no-untyped-def]
    """Four sites of a row together share what is read."""
    for y in range(len(sides)):
        for z in range(0, len(sides), 4):
            for i in range(len(kernels)):
                for c in range(len(blocks)):
                    a0, a1 = result[y, z, c], result[y, z + 1, c]
                    a2, a3 = result[y, z + 2, c], result[y, z + 3, c]
                    for j in range(len(kernels)):
                        weight = tap[i, j, c]
                        a0 += square[y + i, z + j, c] * weight
                        a1 += square[y + i, z + j + 1, c] * weight
                        a2 += square[y + i, z + j + 2, c] * weight
                        a3 += square[y + i, z + j + 3, c] * weight
                    result[y, z, c], result[y, z + 1, c] = a0, a1
                    result[y, z + 2, c], result[y, z + 3, c] = a2, a3


@inlined
def _convolve(square, tap, result, sides, blocks, kernels):  # type: ignore[no-untyped-def]
    for y in range(len(sides)):
        for z in range(len(sides)):
            for i in range(len(kernels)):
                for c in range(len(blocks)):
                    total = result[y, z, c]
                    for j in range(len(kernels)):
                        total += square[y + i, z + j, c] * tap[i, j, c]
                    result[y, z, c] = total


@threaded
def _convolve_squares(x, squares, taps, bias, out, sides, channels, kernel):  # type: ignore[no-untyped-def]
    for item in numba.prange(len(taps) * CHUNKS):
        block, chunk = item // CHUNKS, item % CHUNKS
        some = squares[chunk * len(squares) // CHUNKS : (chunk + 1) * len(squares) // CHUNKS]
        _convolve_part(
            x, some, taps[block], bias[block], block * len(channels), out, sides, channels, kernel
        )


@compiled
def _correlate_part(x, squares, outer, first, sums, sides, blocks, kernels):  # type: ignore[no-untyped-def]
    side, channels, kernel = len(sides), len(blocks), len(kernels)
    halo, most = kernel // 2, side + kernel - 1
    width = min(channels, x.shape[1] - first)
    square = np.zeros((most, most, channels), x.dtype)
    gradient = np.zeros((side, side, channels), x.dtype)
    total = np.zeros((kernel, kernel, channels), x.dtype)
    for q in range(len(squares)):
        _load(x, squares[q], first, width, square, most, 0)
        _load(outer, squares[q], first, width, gradient, side, halo)
        if side % 4 == 0:
            _correlate_by_four(square, gradient, total, sides, blocks, kernels)
        else:
            _correlate(square, gradient, total, sides, blocks, kernels)
    for i in range(kernel):
        for j in range(kernel):
            for c in range(width):
                sums[i * kernel + j, c] = total[i, j, c]


@inlined
def _correlate_by_four(square, gradient, total, sides, blocks, kernels):  # type: ignore[no-untyped-def]
    for y in range(len(sides)):
        for i in range(len(kernels)):
            for z in range(0, len(sides), 4):
                for c in range(len(blocks)):
                    g0, g1 = gradient[y, z, c], gradient[y, z + 1, c]
                    g2, g3 = gradient[y, z + 2, c], gradient[y, z + 3, c]
                    for j in range(len(kernels)):
                        total[i, j, c] += (
                            square[y + i, z + j, c] * g0
                            + square[y + i, z + j + 1, c] * g1
                            + square[y + i, z + j + 2, c] * g2
                            + square[y + i, z + j + 3, c] * g3
                        )


@inlined
def _correlate(square, gradient, total, sides, blocks, kernels):  # type: ignore[no-untyped-def]
    for y in range(len(sides)):
        for i in range(len(kernels)):
            for z in range(len(sides)):
                for c in range(len(blocks)):
                    g = gradient[y, z, c]
                    for j in range(len(kernels)):
                        total[i, j, c] += square[y + i, z + j, c] * g


@threaded
def _correlate_squares(x, squares, outer, sums, sides, channels, kernel):  # type: ignore[no-untyped-def]
    for item in numba.prange(len(sums) * CHUNKS):
        block, chunk = item // CHUNKS, item % CHUNKS
        some = squares[chunk * len(squares) // CHUNKS : (chunk + 1) * len(squares) // CHUNKS]
        _correlate_part(
            x, some, outer, block * len(channels), sums[block, chunk], sides, channels, kernel
        )
