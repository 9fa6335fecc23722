"""The passes over memory between the matrix products, compiled for CUDA by Triton.

Wide activations are divided by image: a program takes a part of one image's rows by a block of
columns, so that it reads what belongs to the image once. Sums go through parts whose number depends
on shapes alone, so that their bits are always the same.
"""

from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from fcmae.ops.feed_forward.images import Images

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Layout(NamedTuple):
    """How a pass is divided among programs: decides how fast it is, and the order of its sums."""

    rows: int = 16  # of the wide activations, that a program holds at a time: a power of two
    columns: int = 128  # of them, at most: a power of two
    part: int = 64  # rows of one part, if all images have equally many
    held: int = 4096  # values of the narrow ones that a program holds: a power of two
    narrow_warps: int = 4
    wide_warps: int = 4
    stages: int | None = None  # blocks of wide rows whose loads are under way at once; None: one


# The fastest for all stages together of those that were measured on an H100, for Tiny in bfloat16
# (docs/log.md).
NORMALISE = Layout(held=2048)
NORMALISE_BACKWARD = Layout(narrow_warps=2)
WIDE = Layout(rows=4, wide_warps=2)


def normalise(x: Tensor, epsilon: float, layout: Layout = NORMALISE) -> tuple[Tensor, Tensor]:
    """Rows less their mean over their deviation: x [R, C] -> [R, C], one over deviation [R]."""
    out, reciprocal = torch.empty_like(x), x.new_empty(len(x), dtype=torch.float32)
    programs, options = _by_row(x, layout)
    _run(_normalise, programs, options, x, out, reciprocal, len(x), epsilon)
    return out, reciprocal


def normalise_backward(
    gradient: Tensor,
    normalised: Tensor,
    reciprocal: Tensor,
    weight: Tensor,
    layout: Layout = NORMALISE_BACKWARD,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients for what was normalised [R, C], and for weight and bias [C] in float32."""
    out = torch.empty_like(gradient)
    programs, options = _by_row(gradient, layout)
    sums = gradient.new_empty(2, programs, gradient.shape[1], dtype=torch.float32)
    given = normalised, reciprocal, weight.float().contiguous()
    _run(_normalise_backward, programs, options, gradient, *given, out, sums, len(out))
    grad_weight, grad_bias = sums.sum(1)
    return out, grad_weight, grad_bias


def squares(h: Tensor, images: Images, layout: Layout = WIDE) -> Tensor:
    """The sum over each image's rows of gelu(h)²: h [R, D] -> [B, D] float32."""
    parts, programs, options = _by_image(h, images, layout)
    sums = _empty_sums(h, images, parts)
    _run(_squares, programs, options, images.starts, parts, h, sums)
    return sums.sum(0)


def activate(
    h: Tensor,
    factor: Tensor | None,
    shift: Tensor | None,
    images: Images,
    layout: Layout = WIDE,
) -> Tensor:
    """gelu(h) times the factor [B, D] of each row's image, plus shift [D]: [R, D]."""
    out = torch.empty_like(h)
    parts, programs, options = _by_image(h, images, layout)
    affine = _float(factor), _float(shift)
    _run(_activate, programs, options, images.starts, parts, h, None, *affine, out, None, None)
    return out


def products(
    h: Tensor,
    gradient: Tensor,
    factor: Tensor | None,
    shift: Tensor | None,
    images: Images,
    layout: Layout = WIDE,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """`activate` again, each image's sum of gradient times gelu(h) [B, D], and gradient's [D]."""
    if factor is None:
        return activate(h, None, None, images, layout), None, None
    out = torch.empty_like(h)
    parts, programs, options = _by_image(h, images, layout)
    sums, totals = _empty_sums(h, images, parts), _empty_sums(h, images, parts)
    given = h, gradient, _float(factor), _float(shift)
    _run(_activate, programs, options, images.starts, parts, *given, out, sums, totals)
    return out, sums.sum(0), totals.flatten(0, 1).sum(0)


def activation_backward(
    h: Tensor,
    gradient: Tensor,
    factor: Tensor | None,
    slope: Tensor | None,
    images: Images,
    layout: Layout = WIDE,
) -> tuple[Tensor, Tensor]:
    """(gradient * factor + gelu(h) * slope) * gelu'(h), and its sums [D] over rows in float32.

    The first is written over `gradient`.
    """
    parts, programs, options = _by_image(h, images, layout)
    sums = _empty_sums(h, images, parts)
    given = _float(factor), _float(slope)
    _run(_activation_backward, programs, options, images.starts, parts, h, gradient, *given, sums)
    return gradient, sums.flatten(0, 1).sum(0)


def _by_row(x: Tensor, layout: Layout) -> tuple[int, dict[str, Any]]:
    """The number of programs, and how wide and high each is."""
    assert x.dtype in DTYPES, x.dtype
    assert x.is_contiguous()
    channels = x.shape[1]
    block = max(16, triton.next_power_of_2(channels))
    rows = max(1, min(64, layout.held // block))
    options = {"CHANNELS": channels, "BLOCK": block, "ROWS": rows}
    options |= {"num_warps": layout.narrow_warps, "enable_fp_fusion": True}
    return -(-len(x) // rows), options


def _by_image(h: Tensor, images: Images, layout: Layout) -> tuple[int, int, dict[str, Any]]:
    """Parts of each image, the number of programs, and how wide and high each is."""
    assert h.dtype in DTYPES, h.dtype
    assert h.is_contiguous()
    rows, width = h.shape
    number = len(images.starts) - 1
    block = max(16, min(layout.columns, triton.next_power_of_2(width)))
    parts = -(-rows // (number * layout.part)) if number else 0
    options = {"WIDTH": width, "BLOCK": block, "ROWS": layout.rows, "STAGES": layout.stages}
    options |= {"num_warps": layout.wide_warps, "enable_fp_fusion": True}
    return parts, parts * number * -(-width // block), options


def _run(kernel: Any, programs: int, options: dict[str, Any], data: Tensor, *rest: Any) -> None:
    if programs:
        with torch.cuda.device_of(data):  # type: ignore[no-untyped-call]
            kernel[programs,](data, *rest, **options)


def _empty_sums(h: Tensor, images: Images, parts: int) -> Tensor:
    """Of each part of each image: [parts, B, D]."""
    return h.new_empty(parts, len(images.starts) - 1, h.shape[1], dtype=torch.float32)


def _float(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.float().contiguous()


# Unless a number is named here, Triton compiles variants for 1, for multiples of 16 and for other
# values of it, though it differs from batch to batch.


@triton.jit(do_not_specialize=["number"])  # type: ignore[untyped-decorator]
def _normalise(  # type: ignore[no-untyped-def]
    x, out, reciprocal, number, epsilon,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row, place, there = _whole_rows(number, CHANNELS, BLOCK, ROWS)
    values = tl.load(x + place, mask=there, other=0).to(tl.float32)
    mean = tl.sum(values, axis=1) / CHANNELS
    values = tl.where(there, values - mean[:, None], 0)  # twice over the row: nothing cancels
    scale = 1 / tl.sqrt(tl.sum(values * values, axis=1) / CHANNELS + epsilon)
    tl.store(out + place, values * scale[:, None], mask=there)
    tl.store(reciprocal + row, scale, mask=row < number)


@triton.jit(do_not_specialize=["number"])  # type: ignore[untyped-decorator]
def _normalise_backward(  # type: ignore[no-untyped-def]
    gradient, normalised, reciprocal, weight, out, sums, number,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row, place, there = _whole_rows(number, CHANNELS, BLOCK, ROWS)
    channel = tl.arange(0, BLOCK)
    outer = tl.load(gradient + place, mask=there, other=0).to(tl.float32)
    values = tl.load(normalised + place, mask=there, other=0).to(tl.float32)
    scale = tl.load(reciprocal + row, mask=row < number, other=0)
    slant = tl.load(weight + channel, mask=channel < CHANNELS, other=0)
    into = sums + tl.program_id(0) * CHANNELS + channel
    tl.store(into, tl.sum(outer * values, axis=0), mask=channel < CHANNELS)
    into += tl.num_programs(0) * CHANNELS
    tl.store(into, tl.sum(outer, axis=0), mask=channel < CHANNELS)
    outer *= slant[None, :]
    mean = tl.sum(outer, axis=1) / CHANNELS
    along = tl.sum(outer * values, axis=1) / CHANNELS
    result = (outer - mean[:, None] - values * along[:, None]) * scale[:, None]
    tl.store(out + place, result, mask=there)


@triton.jit  # type: ignore[untyped-decorator]
def _whole_rows(  # type: ignore[no-untyped-def]
    number, CHANNELS: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr
):
    """A program's rows [ROWS], the places of their values [ROWS, BLOCK], and which there are."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, BLOCK)
    there = (row < number)[:, None] & (channel < CHANNELS)[None, :]
    return row, row[:, None] * CHANNELS + channel[None, :], there


@triton.jit(do_not_specialize=["parts"])  # type: ignore[untyped-decorator]
def _squares(  # type: ignore[no-untyped-def]
    starts, parts, h, sums,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    image, part, column, begin, end = _part(starts, parts, WIDTH, BLOCK)
    held = tl.full((ROWS, BLOCK), 0, tl.float32)
    for first in tl.range(begin, end, ROWS, num_stages=STAGES):
        place, there = _rows(first, end, column, WIDTH, ROWS)
        values = tl.load(h + place, mask=there, other=0).to(tl.float32)
        active = values * _below(values)
        held += active * active
    _store_sums(sums, held, image, part, parts, column, tl.num_programs(0), WIDTH, BLOCK)


@triton.jit(do_not_specialize=["parts"])  # type: ignore[untyped-decorator]
def _activate(  # type: ignore[no-untyped-def]
    starts, parts, h, gradient, factor, shift, out, sums, totals,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """With `sums`, of gradient times gelu(h), and `totals`, of gradient."""
    image, part, column, begin, end = _part(starts, parts, WIDTH, BLOCK)
    held = tl.full((ROWS, BLOCK), 0, tl.float32)
    total = tl.full((ROWS, BLOCK), 0, tl.float32)
    scale = _of_image(factor, image, column, 1, WIDTH, BLOCK)
    added = _of_image(shift, 0, column, 0, WIDTH, BLOCK)
    for first in tl.range(begin, end, ROWS, num_stages=STAGES):
        place, there = _rows(first, end, column, WIDTH, ROWS)
        values = tl.load(h + place, mask=there, other=0).to(tl.float32)
        active = values * _below(values)
        if sums is not None:
            outer = tl.load(gradient + place, mask=there, other=0).to(tl.float32)
            held += outer * active
            total += outer
        tl.store(out + place, active * scale[None, :] + added[None, :], mask=there)
    if sums is not None:
        programs = tl.num_programs(0)
        _store_sums(sums, held, image, part, parts, column, programs, WIDTH, BLOCK)
        _store_sums(totals, total, image, part, parts, column, programs, WIDTH, BLOCK)


@triton.jit(do_not_specialize=["parts"])  # type: ignore[untyped-decorator]
def _activation_backward(  # type: ignore[no-untyped-def]
    starts, parts, h, gradient, factor, slope, sums,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    image, part, column, begin, end = _part(starts, parts, WIDTH, BLOCK)
    held = tl.full((ROWS, BLOCK), 0, tl.float32)
    scale = _of_image(factor, image, column, 1, WIDTH, BLOCK)
    slant = _of_image(slope, image, column, 0, WIDTH, BLOCK)
    for first in tl.range(begin, end, ROWS, num_stages=STAGES):
        place, there = _rows(first, end, column, WIDTH, ROWS)
        values = tl.load(h + place, mask=there, other=0).to(tl.float32)
        outer = tl.load(gradient + place, mask=there, other=0).to(tl.float32)
        below = _below(values)
        density = tl.exp(values * values * -0.5) * 0.3989422804014327  # 1 / sqrt(2 pi)
        result = outer * scale[None, :] + values * below * slant[None, :]
        result *= below + values * density
        held += result
        tl.store(gradient + place, result, mask=there)
    _store_sums(sums, held, image, part, parts, column, tl.num_programs(0), WIDTH, BLOCK)


@triton.jit
def _below(values):  # type: ignore[no-untyped-def]
    """The probability of less in the normal distribution: gelu(h) is h times that of h."""
    return 0.5 + 0.5 * tl.erf(values * 0.7071067811865476)


@triton.jit  # type: ignore[untyped-decorator]
def _part(starts, parts, WIDTH: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """A program's image, part, columns [BLOCK], first row and the row after its last."""
    blocks: tl.constexpr = (WIDTH + BLOCK - 1) // BLOCK
    column = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    part = tl.program_id(0) // blocks % parts
    image = tl.program_id(0) // (blocks * parts)
    first = tl.load(starts + image)
    last = tl.load(starts + image + 1)
    step = (last - first + parts - 1) // parts
    begin = first + part * step
    return image, part, column, begin, tl.minimum(begin + step, last)


@triton.jit  # type: ignore[untyped-decorator]
def _rows(first, end, column, WIDTH: tl.constexpr, ROWS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The places of a block of rows: [ROWS, BLOCK], and which there are."""
    row = first + tl.arange(0, ROWS)
    there = (row < end)[:, None] & (column < WIDTH)[None, :]
    return row[:, None].to(tl.int64) * WIDTH + column[None, :], there


@triton.jit  # type: ignore[untyped-decorator]
def _of_image(  # type: ignore[no-untyped-def]
    values, image, column, absent: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):
    """An image's row of values [B, D]; `absent` where there are none."""
    if values is None:
        result = tl.full((BLOCK,), absent, tl.float32)
    else:
        result = tl.load(values + image * WIDTH + column, mask=column < WIDTH, other=0)
    return result


@triton.jit  # type: ignore[untyped-decorator]
def _store_sums(  # type: ignore[no-untyped-def]
    sums, held, image, part, parts, column, programs, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):
    blocks: tl.constexpr = (WIDTH + BLOCK - 1) // BLOCK
    images = programs // (blocks * parts)
    place = (part * images + image) * WIDTH + column
    tl.store(sums + place, tl.sum(held, axis=0), mask=column < WIDTH)
