"""On packed tiles, compiled for the processor by numba: no dense map at all.

Each tile and its halo of neighbouring sites are copied into a small square that stays in the cache,
and convolved there. Where numba cannot be had, `tiled.py` does the same more slowly.
"""

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from fcmae.tiles import Tiles

CHUNKS = (
    16  # partial sums of the weight gradient: a constant, so that threads do not change its bits
)

FAST = {"reassoc", "contract", "nsz"}  # sums in any order; but a NaN stays one, to be found


def compiled(function: Callable[..., None], *, parallel: bool = False) -> Callable[..., None]:
    """Compile when first called, and keep what was compiled for the next process."""
    compiler = functools.partial(numba.njit, fastmath=FAST, boundscheck=False, parallel=parallel)
    try:
        made: Callable[..., None] = compiler(cache=True)(function)
    except RuntimeError:  # there is no folder that it may write to: each process compiles anew
        made = compiler()(function)
    return made


threaded = functools.partial(compiled, parallel=True)


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor, tiles: Tiles) -> Tensor:
    """x [M, t, t, C], weight [C, 1, k, k], bias [C], float32 or float64 -> [M, t, t, C]."""
    result: Tensor = _DepthwiseConv.apply(x, weight, bias, tiles)
    return result


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, tiles: Tiles) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tiles = tiles
        return _convolve(x, weight, bias, tiles)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        outer = gradients[0].contiguous()
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            # The transpose of a stride-1 convolution is the convolution with the flipped kernel.
            zero = weight.new_zeros(weight.shape[0])
            grad_x = _convolve(outer, weight.flip(2, 3), zero, ctx.tiles)
        if ctx.needs_input_grad[1]:
            kernel = weight.shape[2]
            sums = x.new_empty(CHUNKS, kernel, kernel, x.shape[3])
            places = _places(ctx.tiles, x.shape[1], kernel)
            _use_torch_threads()
            _correlate_tiles(_array(x), *places, _array(outer), _array(sums))
            grad_weight = sums.sum(0).permute(2, 0, 1).unsqueeze(1)  # [C, 1, k, k]
        if ctx.needs_input_grad[2]:
            grad_bias = outer.flatten(0, 2).sum(0)
        return grad_x, grad_weight, grad_bias, None


def _convolve(x: Tensor, weight: Tensor, bias: Tensor, tiles: Tiles) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    taps = weight[:, 0].permute(1, 2, 0)  # [k, k, C]
    places = _places(tiles, x.shape[1], weight.shape[2])
    _use_torch_threads()
    _convolve_tiles(_array(x), *places, _array(taps), _array(bias), _array(out))
    return out


def _use_torch_threads() -> None:
    # More threads than torch has would fight other processes. The number belongs to the calling
    # thread, and autograd's backward pass has one of its own.
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    if torch.get_num_threads() != threads:  # both use OpenMP, and numba's start resets its number
        torch.set_num_threads(threads)


def _array(x: Tensor) -> np.ndarray:
    return x.detach().contiguous().numpy()


def _places(tiles: Tiles, side: int, kernel: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The tile at each cell or -1, on the grid with a margin; each tile's cell; the margin."""
    batch, rows, columns = tiles.grid
    margin = -(-(kernel // 2) // side)  # cells that the halo reaches over
    slots = np.full((batch, rows + 2 * margin, columns + 2 * margin), -1, dtype=np.int64)
    image, place = np.divmod(tiles.index.numpy(), rows * columns)
    row, column = np.divmod(place, columns)
    cells = np.stack([image, row + margin, column + margin], axis=1)
    slots[tuple(cells.T)] = np.arange(len(cells))
    return slots, cells, margin


@compiled
def _load_square(x, slots, cell, margin, halo, square):  # type: ignore[no-untyped-def]
    """Copy a tile and its halo into `square`, zero where nothing is visible."""
    side, channels = x.shape[1], x.shape[3]
    for i in range(side + 2 * halo):
        y = i - halo + margin * side  # counted from the margin's edge, never negative
        for j in range(side + 2 * halo):
            z = j - halo + margin * side
            m = slots[cell[0], cell[1] - margin + y // side, cell[2] - margin + z // side]
            if m >= 0:
                for c in range(channels):
                    square[i, j, c] = x[m, y % side, z % side, c]
            else:
                for c in range(channels):
                    square[i, j, c] = 0


@threaded
def _convolve_tiles(x, slots, cells, margin, taps, bias, out):  # type: ignore[no-untyped-def]
    side, channels, kernel = x.shape[1], x.shape[3], taps.shape[0]
    width = side + kernel - 1
    chunks = CHUNKS
    for chunk in numba.prange(chunks):
        square = np.empty((width, width, channels), x.dtype)
        for m in range(chunk * len(x) // chunks, (chunk + 1) * len(x) // chunks):
            _load_square(x, slots, cells[m], margin, kernel // 2, square)
            for y in range(side):
                for z in range(side):
                    for c in range(channels):
                        out[m, y, z, c] = bias[c]
                for i in range(kernel):
                    for j in range(kernel):
                        for z in range(side):
                            for c in range(channels):
                                out[m, y, z, c] += square[y + i, z + j, c] * taps[i, j, c]


@threaded
def _correlate_tiles(x, slots, cells, margin, outer, sums):  # type: ignore[no-untyped-def]
    side, channels, kernel = x.shape[1], x.shape[3], sums.shape[1]
    width = side + kernel - 1
    chunks = sums.shape[0]
    for chunk in numba.prange(chunks):
        square = np.empty((width, width, channels), x.dtype)
        sums[chunk] = 0
        for m in range(chunk * len(x) // chunks, (chunk + 1) * len(x) // chunks):
            _load_square(x, slots, cells[m], margin, kernel // 2, square)
            for i in range(kernel):
                for j in range(kernel):
                    for y in range(side):
                        for z in range(side):
                            for c in range(channels):
                                sums[chunk, i, j, c] += square[y + i, z + j, c] * outer[m, y, z, c]
