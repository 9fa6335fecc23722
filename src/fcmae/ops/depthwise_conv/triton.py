"""On packed tiles or dense maps, compiled for CUDA by Triton: packed tiles need no dense map.

A program computes rows of sites by a block of channels, by default eight sites a row: those of one
tile of 8, of two tiles of 4 and so on. Neighbouring tiles are found in a table of the grid's cells.
"""

import functools
from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.weak import WeakTensorKeyDictionary

from fcmae.ops.tiles import Tiles

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Layout(NamedTuple):
    """How a kernel's work is divided among programs.

    These numbers decide how fast it is, and in which order the weights' gradient is summed.
    """

    columns: int = 8  # sites in a program's row: a multiple of the tile's side, and a power of two
    block: int | None = None  # channels of a program, a power of two; None: see `_block`
    warps: int | None = None  # None: as many as leave a thread `each` values of a row of sites
    each: int = 4  # in half precision, four channels are one access of 8 bytes
    rows: int | None = None  # below each other, of dense maps; None: as leave fewest lines over
    # Columns of taps whose gradients one program sums: all of them would need 200 registers.
    span: int = 2
    # Of the weights' gradient, 12 for each processor of an H100; a constant, for the same bits
    # anywhere.
    summing_warps: int = 1584
    stages: int | None = None  # turns of the loop whose loads are under way at once; None: one

    def filled(self, channels: int) -> "Layout":
        """With what is left open chosen for so many channels; `rows` depends on the map."""
        block = self.block or _block(channels)
        warps = self.warps or max(1, block * self.columns // (32 * self.each))
        return self._replace(block=block, warps=warps)


class Layouts(NamedTuple):
    """Of an operator's two kernels."""

    sites: Layout  # of the forward pass and of the gradient of x
    taps: Layout  # of the weights' gradient


# By the side of a tile, 0 for dense maps: the fastest of those that were measured on an H100, for
# Tiny in bfloat16 (docs/log.md); of dense maps none was.
LAYOUTS = {
    0: Layouts(Layout(), Layout()),
    8: Layouts(Layout(), Layout()),
    4: Layouts(Layout(columns=16, each=8), Layout()),
    2: Layouts(Layout(columns=32, each=16), Layout(span=1, each=8)),
    1: Layouts(Layout(columns=32, each=16), Layout(columns=32, span=1, each=8)),
}


@functools.cache
def layouts_of(side: int, channels: int) -> Layouts:
    """What is used where no other layouts are asked for: side of a tile, 0 for dense maps."""
    sites, taps = LAYOUTS[side]
    return Layouts(sites.filled(channels), taps.filled(channels))


def depthwise_conv(
    x: Tensor, weight: Tensor, bias: Tensor, sites: Tiles | None, layouts: Layouts | None = None
) -> Tensor:
    """Depthwise convolution of visible sites alone, summed in float32.

    Under autocast x is cast to half precision, but the weights, which are few, stay as they are.

    Args:
        x: [M, t, t, C] with t of 1, 2, 4 or 8, or [B, H, W, C] without `sites`; of `DTYPES`.
        weight: [C, 1, k, k] with k odd.
        bias: [C].
        sites: where the tiles lie; None for dense maps.
        layouts: other than those of `layouts_of`.

    Returns:
        The same shape and dtype as x, after autocast.
    """
    if torch.is_autocast_enabled(x.device.type):  # a custom Function is not cast by itself
        x = x.to(torch.get_autocast_dtype(x.device.type))
    result: Tensor = _DepthwiseConv.apply(x, weight, bias, sites, layouts)
    return result


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        sites: Tiles | None,
        layouts: Layouts | None,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        if layouts is None:
            layouts = layouts_of(0 if sites is None else x.shape[2], x.shape[3])
        ctx.plans = [plan_of(x, sites, weight.shape[2], layout) for layout in layouts]
        return convolve(x, taps_of(weight), bias, ctx.plans[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        outer = gradients[0]
        over_sites, over_taps = ctx.plans
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            # The transpose of a stride-1 convolution is the convolution with the flipped kernel.
            grad_x = convolve(outer, taps_of(weight), None, over_sites, flip=True)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            sums = correlate(x, outer, weight.shape[2], over_taps)  # [k * k + 1, C]
            grad_weight = sums[:-1].t().contiguous().view(weight.shape).to(weight.dtype)
            grad_bias = sums[-1].to(weight.dtype)
        return grad_x, grad_weight, grad_bias, None, None


class Plan(NamedTuple):
    """How sites are found and divided among programs."""

    slots: Tensor | None  # [B, h + 2 halo, w + 2 halo] int32, the tile at each cell or -1
    corners: Tensor | None  # [M] int64, each tile's place in the flattened `slots`
    height: int  # of a map, in sites; or of one image's part of `slots`, in cells
    width: int
    side: int  # t; 0 for dense maps
    rows: int  # of sites, of one program
    groups: int  # of rows x columns sites
    layout: Layout  # filled

    def addressing(self, images: int) -> tuple[Any, ...]:
        """The kernels' first arguments but the data."""
        return self.slots, self.corners, images, self.height, self.width, self.groups


def plan_of(x: Tensor, sites: Tiles | None, kernel: int, layout: Layout) -> Plan:
    """For x [M, t, t, C] or [B, H, W, C], and a kernel of so many sites a side."""
    assert x.dtype in DTYPES, x.dtype
    assert kernel % 2 == 1, kernel
    number, height, width, channels = x.shape
    layout = layout.filled(channels)
    columns = layout.columns
    if sites is None:
        # Few lines to spare below the map: 56, 28, 14 and 7 need none with 7 rows.
        rows = layout.rows or min((8, 7, 6), key=lambda rows: _ceil_div(height, rows) * rows)
        groups = number * _ceil_div(height, rows) * _ceil_div(width, columns)
        return Plan(None, None, height, width, 0, rows, groups, layout)
    assert height == width, x.shape
    assert columns % width == 0, (x.shape, columns)
    slots, corners = _table(sites, kernel // 2)
    groups = _ceil_div(number * width, columns)
    return Plan(slots, corners, slots.shape[1], slots.shape[2], width, width, groups, layout)


_tables: Any = WeakTensorKeyDictionary()  # by `Tiles.index`: all blocks of an encoder share one


def _table(tiles: Tiles, halo: int) -> tuple[Tensor, Tensor]:
    """The tile at each cell or -1, with a margin on all sides; and each tile's place in there.

    The margin is `halo` cells, which suffices for tiles of any side.
    """
    known = _tables.setdefault(tiles.index, {})
    if halo not in known:
        batch, rows, columns = tiles.grid
        height, width = rows + 2 * halo, columns + 2 * halo
        place = tiles.index % (rows * columns)
        row, column = place // columns + halo, place % columns + halo
        corners = (tiles.image * height + row) * width + column
        slots = corners.new_full((batch, height, width), -1, dtype=torch.int32)
        numbers = torch.arange(len(corners), dtype=torch.int32, device=corners.device)
        slots.view(-1)[corners] = numbers
        known[halo] = slots, corners
    table: tuple[Tensor, Tensor] = known[halo]
    return table


def taps_of(weight: Tensor) -> Tensor:
    """[C, 1, k, k] -> [k, k, C], contiguous."""
    return weight.detach()[:, 0].permute(1, 2, 0).contiguous()


def convolve(
    x: Tensor, taps: Tensor, bias: Tensor | None, plan: Plan, *, flip: bool = False
) -> Tensor:
    """The sums over taps [k, k, C], the last first with `flip`: x keeps its shape."""
    x = x.contiguous()
    # Numbers rather than variants of the kernel, of which each takes seconds to compile.
    start, step = (taps.shape[0] ** 2 - 1, -1) if flip else (0, 1)
    shift, biased = (taps, 0) if bias is None else (bias.contiguous(), len(bias))
    out = torch.empty_like(x)
    channels, layout = x.shape[3], plan.layout
    assert layout.block is not None
    programs = plan.groups * _ceil_div(channels, layout.block)
    if programs:
        with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
            _convolve_sites[programs,](
                *plan.addressing(x.shape[0]), x, taps, start, step, shift, biased, out,
                CHANNELS=channels, KERNEL=taps.shape[0], SIDE=plan.side, ROWS=plan.rows,
                COLUMNS=layout.columns, BLOCK=layout.block, STAGES=layout.stages,
                num_warps=layout.warps, enable_fp_fusion=True,
            )  # fmt: skip
    return out


def correlate(x: Tensor, outer: Tensor, kernel: int, plan: Plan) -> Tensor:
    """Gradients of the taps, then of the bias: [k * k + 1, C] float32."""
    x, outer = x.contiguous(), outer.contiguous()
    channels, layout = x.shape[3], plan.layout
    assert layout.block is not None
    assert layout.warps is not None
    blocks = _ceil_div(channels, layout.block) * _ceil_div(kernel, layout.span)
    parts = min(plan.groups, _ceil_div(layout.summing_warps, blocks * layout.warps))
    sums = x.new_empty(parts, kernel * kernel + 1, channels, dtype=torch.float32)
    if parts:
        with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
            _correlate_sites[parts * blocks,](
                *plan.addressing(x.shape[0]), x, outer, sums, parts,
                CHANNELS=channels, KERNEL=kernel, SIDE=plan.side, ROWS=plan.rows,
                COLUMNS=layout.columns, BLOCK=layout.block, SPAN=layout.span, STAGES=layout.stages,
                num_warps=layout.warps, enable_fp_fusion=True,
            )  # fmt: skip
    return sums.sum(0)


def _block(channels: int) -> int:
    """Channels of a program: the fewest idle, else the most."""
    return min((64, 32, 16), key=lambda block: _ceil_div(channels, block) * block)


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


# Unless a number is named here, Triton compiles variants for 1, for multiples of 16 and for other
# values of it, though it differs from batch to batch.
VARYING = ["images", "height", "width", "groups"]


@triton.jit(do_not_specialize=[*VARYING, "biased", "start", "step"])  # type: ignore[untyped-decorator]
def _convolve_sites(  # type: ignore[no-untyped-def]
    slots, corners, images, height, width, groups,
    x, taps, start, step, bias, biased, out,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, SIDE: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Each value that is read enters the sums of all the rows that it reaches.

    Taps are read from `start` on, each `step` further; channels below `biased` have a bias.
    """
    blocks: tl.constexpr = (CHANNELS + BLOCK - 1) // BLOCK
    channel = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    wanted = channel < CHANNELS
    group = tl.program_id(0) // blocks
    begin = tl.load(bias + channel, mask=channel < biased, other=0).to(tl.float32)[None, :]
    begin += tl.full((COLUMNS, BLOCK), 0, tl.float32)
    sums = ()
    for _ in tl.static_range(ROWS):
        sums += (begin,)  # type: ignore[assignment]
    for j in tl.range(0, KERNEL, num_stages=STAGES):
        for i in tl.static_range(ROWS + KERNEL - 1):
            site, there = _neighbour(
                slots, corners, images, height, width, group,
                i - KERNEL // 2, j - KERNEL // 2, SIDE, ROWS, COLUMNS, KERNEL // 2,
            )  # fmt: skip
            values = _load(x, site, there, channel, wanted, CHANNELS)
            for row in tl.static_range(ROWS):
                if i >= row and i < row + KERNEL:
                    tap = start + ((i - row) * KERNEL + j) * step
                    factor = tl.load(taps + tap * CHANNELS + channel, mask=wanted, other=0)
                    added = sums[row] + values * factor.to(tl.float32)[None, :]
                    sums = _replaced(sums, row, added)
    for row in tl.static_range(ROWS):
        site, there = _own(images, height, width, group, row, SIDE, ROWS, COLUMNS)
        place = site[:, None] * CHANNELS + channel[None, :]
        tl.store(out + place, sums[row], mask=there[:, None] & wanted[None, :])


@triton.jit(do_not_specialize=[*VARYING, "parts"])  # type: ignore[untyped-decorator]
def _correlate_sites(  # type: ignore[no-untyped-def]
    slots, corners, images, height, width, groups,
    x, outer, sums, parts,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, SIDE: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, BLOCK: tl.constexpr, SPAN: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Every `parts`-th group's sums for `SPAN` columns of taps, and for the bias."""
    blocks: tl.constexpr = (CHANNELS + BLOCK - 1) // BLOCK
    spans: tl.constexpr = (KERNEL + SPAN - 1) // SPAN
    # Programs that read the same values have neighbouring numbers, so that the cache serves all.
    first = tl.program_id(0) % spans * SPAN
    channel = tl.program_id(0) // spans % blocks * BLOCK + tl.arange(0, BLOCK)
    wanted = channel < CHANNELS
    part = tl.program_id(0) // (spans * blocks)
    total = tl.full((COLUMNS, BLOCK), 0, tl.float32)
    held = ()
    for _ in tl.static_range(SPAN * KERNEL):
        held += (tl.full((COLUMNS, BLOCK), 0, tl.float32),)  # type: ignore[assignment]
    for group in tl.range(part, groups, parts, num_stages=STAGES):
        outers = ()
        for row in tl.static_range(ROWS):
            site, there = _own(images, height, width, group, row, SIDE, ROWS, COLUMNS)
            gradient = _load(outer, site, there, channel, wanted, CHANNELS)
            outers += (gradient,)  # type: ignore[assignment]
            total += gradient
        for j in tl.static_range(SPAN):
            # A column too many is computed like the last, and left out below.
            column = tl.minimum(first + j, KERNEL - 1)
            for i in tl.static_range(ROWS + KERNEL - 1):
                site, there = _neighbour(
                    slots, corners, images, height, width, group,
                    i - KERNEL // 2, column - KERNEL // 2, SIDE, ROWS, COLUMNS, KERNEL // 2,
                )  # fmt: skip
                values = _load(x, site, there, channel, wanted, CHANNELS)
                held = _with_row(held, values, outers, i, j, KERNEL, ROWS)
    begin = sums + part * (KERNEL * KERNEL + 1) * CHANNELS + channel
    for j in tl.static_range(SPAN):
        for i in tl.static_range(KERNEL):
            tap = i * KERNEL + first + j
            one = tl.sum(held[j * KERNEL + i], axis=0)
            if first + j < KERNEL:
                tl.store(begin + tap * CHANNELS, one, mask=wanted)
    one = tl.sum(total, axis=0)
    if first == 0:
        tl.store(begin + KERNEL * KERNEL * CHANNELS, one, mask=wanted)


@triton.jit  # type: ignore[untyped-decorator]
def _with_row(  # type: ignore[no-untyped-def]
    held, values, outers,
    i: tl.constexpr, j: tl.constexpr, KERNEL: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The sums with the products of a row of values and all the rows of gradients it reaches."""
    for row in tl.static_range(ROWS):
        if i >= row and i < row + KERNEL:
            added = held[j * KERNEL + i - row] + values * outers[row]
            held = _replaced(held, j * KERNEL + i - row, added)
    return held


@triton.jit  # type: ignore[untyped-decorator]
def _replaced(values, place: tl.constexpr, value):  # type: ignore[no-untyped-def]
    return values[:place] + (value,) + values[place + 1 :]  # noqa: RUF005 (no stars in Triton)


@triton.jit  # type: ignore[untyped-decorator]
def _load(x, site, there, channel, wanted, CHANNELS: tl.constexpr):  # type: ignore[no-untyped-def]
    """[COLUMNS, BLOCK] float32, zero where nothing is."""
    place = site[:, None] * CHANNELS + channel[None, :]
    return tl.load(x + place, mask=there[:, None] & wanted[None, :], other=0).to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def _neighbour(  # type: ignore[no-untyped-def]
    slots, corners, images, height, width, group,
    i: tl.constexpr, j,
    SIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, HALO: tl.constexpr,
):  # fmt: skip
    """Sites that lie i rows below a group's first row, and j columns right: [COLUMNS], and where.

    The compiler joins equal loads of `slots`, so that a row of cells is looked up once for each j.
    """
    lane = tl.arange(0, COLUMNS)
    if SIDE == 0:
        image, top, left = _corner(height, width, group, ROWS, COLUMNS)
        y, z = top + tl.full((COLUMNS,), i, tl.int32), left + lane + j
        there = (y >= 0) & (y < height) & (z >= 0) & (z < width)
        site = (image.to(tl.int64) * height + y) * width + z
    else:
        tile = group * (COLUMNS // SIDE) + lane // SIDE
        corner = tl.load(corners + tile, mask=tile < images, other=0)
        # Counted from the margin's edge, never negative: / and % round towards zero.
        below: tl.constexpr = i + HALO * SIDE
        right = lane % SIDE + j + HALO * SIDE
        cell = corner + (below // SIDE - HALO) * width + (right // SIDE - HALO)
        slot = tl.load(slots + cell, mask=tile < images, other=-1)
        there = slot >= 0
        site = (slot.to(tl.int64) * SIDE + below % SIDE) * SIDE + right % SIDE
    return site, there


@triton.jit  # type: ignore[untyped-decorator]
def _own(  # type: ignore[no-untyped-def]
    images, height, width, group, row: tl.constexpr,
    SIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """A group's own sites of one row: [COLUMNS], and which there are."""
    lane = tl.arange(0, COLUMNS)
    if SIDE == 0:
        image, top, left = _corner(height, width, group, ROWS, COLUMNS)
        y, z = top + tl.full((COLUMNS,), row, tl.int32), left + lane
        there = (y < height) & (z < width)
        site = (image.to(tl.int64) * height + y) * width + z
    else:
        tile = group * (COLUMNS // SIDE) + lane // SIDE
        there = tile < images
        site = (tile.to(tl.int64) * SIDE + row) * SIDE + lane % SIDE
    return site, there


@triton.jit  # type: ignore[untyped-decorator]
def _corner(height, width, group, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The image, row and column of a dense group's first site."""
    across = (width + COLUMNS - 1) // COLUMNS
    down = (height + ROWS - 1) // ROWS
    return group // (across * down), group // across % down * ROWS, group % across * COLUMNS
