"""Layouts of each kernel for CUDA tried against each other: what is the fastest way to divide it.

The choice is small: mostly one number changed at a time. Compiled for an H100, every variant keeps
its values in registers: what would need more than there are is left out.
"""

import functools
import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from fcmae.benchmarks.measuring import seconds_of
from fcmae.ops.tiles import Tiles
from fcmae.training.devices import Runtime
from gpu.kernels import CONTESTS, Contest, Shape, attempt, compared

REPLAYS = 2  # of a captured graph, within a turn

Layout = Any  # of either module of kernels


def time_variants(
    device: torch.device,
    kernel: str,
    model: str,
    stage: int,
    *,
    batch_size: int = 64,
    image_size: int = 224,
    repeats: int = 9,
    calls: int = 20,
) -> Iterator[dict[str, Any]]:
    """A row for each layout of a kernel at one stage, then one that names the winner.

    On CUDA, `calls` calls are captured as one graph, so that kernels are timed and not their
    launches. They find in the second-level cache what fits there, as they often do in a training.
    Each result is compared before it is timed with that of the operators that the kernel replaces.

    Args:
        device: CUDA, or the processor with Triton's interpreter, where one call is timed.
        kernel: one of `KERNELS`.
        model: a name of `fcmae.list_models()`, which decides the channels.
        stage: 1 to 4.
        batch_size: images.
        image_size: pixels a side, a multiple of 32.
        repeats: turns, whose median is taken.
        calls: of a graph.

    Yields:
        Rows, each as soon as it is measured, the default's first and once more after all others:
        model, stage, channels, side, kernel, layout, difference, seconds of a call, gigabytes a
        second, and the ratio of the default's first time to it. A layout that fails or whose
        result differs has `error` instead. The last row is that of `winner_of`.

    Raises:
        ImportError: if there is no Triton.
    """
    runtime = Runtime(device, "bf16")
    shape = Shape.of(device, model, stage, batch_size, image_size)
    name = {"model": model, "stage": stage, "channels": shape.channels, "side": shape.side}
    name["kernel"] = kernel
    default, *others = variants_of(kernel, shape.side, shape.channels)
    prepared = functools.cache(functools.partial(_prepared, kernel, shape))
    rows: list[dict[str, Any]] = []
    for layout in (default, *others, default):
        measure = functools.partial(_measured, prepared, layout, runtime, repeats, calls)
        row = {**name, "layout": layout._asdict(), **attempt(measure)}
        first = rows[0] if rows else row
        if "seconds" in row and "seconds" in first:
            row["ratio"] = first["seconds"] / row["seconds"]
        rows.append(row)
        yield row
    yield {**name, **winner_of(rows)}


def winner_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The fastest of one kernel's rows, of which the first has the default layout.

    Returns:
        The layout as `winner`, its seconds, all times of the default, and the ratio of the shortest
        of these to it: what the winner gains beyond the spread of the default. None for what was
        not measured; `error` if nothing was.
    """
    timed = [row for row in rows if "seconds" in row]
    if not timed:
        return {"winner": None, "error": "no layout could be timed"}
    best = min(timed, key=lambda row: float(row["seconds"]))
    default = [row["seconds"] for row in timed if row["layout"] == rows[0]["layout"]]
    return {
        "winner": best["layout"],
        "seconds": best["seconds"],
        "default_seconds": default,
        "ratio": min(default) / best["seconds"] if default else None,
    }


def launch(kernel: str, side: int, channels: int, layout: Layout) -> None:
    """Start a variant on tensors without memory, for those who only want to have it compiled."""
    index = torch.empty(3, dtype=torch.int64, device="meta")
    contest = CONTESTS[kernel](Shape(Tiles((2, 1, 2), index, index // 2), side, channels))
    assert contest.alone is not None
    contest.alone(layout)


def variants_of(kernel: str, side: int, channels: int) -> list[Layout]:
    """The default, then what may be faster, the most promising first; all different.

    Args:
        kernel: one of `KERNELS`.
        side: of a tile, in sites.
        channels: of the stage, also for kernels on the four times wider activations.
    """
    return KERNELS[kernel](side, channels)


def _convolution_forward(side: int, channels: int) -> list[Layout]:
    from fcmae.ops.depthwise_conv import triton

    default: Layout = triton.layouts_of(side, channels).sites
    plain: Layout = triton.Layout().filled(channels)
    block = plain.block
    found = [
        _divided(plain, columns, width, each)
        for columns, width, each in (
            (8, block, 8),
            (16, block, 8),
            (8, 2 * block, 8),
            (16, block, 4),
            (8, 2 * block, 4),
            (8, block, 2),
            (8, block // 2, 4),
        )
    ]
    if side < 8:
        found += [_divided(plain, 32, block, 8), _divided(plain, 32, block, 4)]
    if side < 4:
        found[2:2] = [_divided(plain, columns, block, 16) for columns in (16, 32, 64)]
        found.append(_divided(plain, 64, block, 8))
    found.append(default._replace(stages=2))
    return _different(default, [plain, *found], lambda layout: _sums(layout, side) <= 64)


def _weight_gradient(side: int, channels: int) -> list[Layout]:
    from fcmae.ops.depthwise_conv import triton

    default: Layout = triton.layouts_of(side, channels).taps
    plain: Layout = triton.Layout().filled(channels)
    block = plain.block
    wide, high = _divided(plain, 8, block, 8), _divided(plain, 16, block, 4)
    both = _divided(plain, 16, block, 8)
    found = [
        plain,
        plain._replace(span=1),
        wide._replace(span=1),
        wide,
        both._replace(span=1),
        plain._replace(span=3),
        plain._replace(span=4),
        _divided(plain, 8, block, 2)._replace(span=4),
        high,
        _divided(plain, 8, 2 * block, 8)._replace(span=1),
        default._replace(summing_warps=2 * default.summing_warps),
        default._replace(summing_warps=default.summing_warps // 2),
        default._replace(stages=2),
    ]
    if side < 4:
        found += [
            _divided(plain, 32, block, 8)._replace(span=1),
            _divided(plain, 32, block, 16)._replace(span=1),
            _divided(plain, 64, block, 8)._replace(span=1),
            _divided(plain, 8, block, 2)._replace(span=7),
        ]
    # Besides the sums of the taps, a thread holds the gradients of all rows.
    return _different(default, found, lambda layout: _sums(layout, side + 7 * layout.span) <= 184)


def _normalisation(side: int, channels: int, *, backward: bool = False) -> list[Layout]:
    from fcmae.ops.feed_forward import triton

    default = triton.NORMALISE_BACKWARD if backward else triton.NORMALISE
    block = max(16, 1 << (channels - 1).bit_length())
    found = [
        # What is held is at least a row, and at most 64.
        default._replace(held=min(max(held, block), 64 * block), narrow_warps=warps)
        for held, warps in (
            (4096, 4),
            (2048, 4),
            (1024, 2),
            (4096, 8),
            (2048, 2),
            (1024, 4),
            (1024, 1),
            (8192, 8),
            (8192, 16),
            (16384, 16),
            (8192, 4),
            (4096, 2),
            (16384, 8),
        )
    ]
    return _different(default, found, lambda layout: layout.held <= 64 * 32 * layout.narrow_warps)


def _activation(side: int, channels: int) -> list[Layout]:
    from fcmae.ops.feed_forward import triton

    changes: list[dict[str, int]] = [
        {},
        {"rows": 4, "wide_warps": 1},
        {"rows": 2, "wide_warps": 1},
        {"rows": 4, "columns": 64, "wide_warps": 1},
        {"rows": 8},
        {"rows": 4, "columns": 256},
        {"rows": 4, "wide_warps": 2},
        {"rows": 8, "stages": 2},
        {"stages": 2},
        {"stages": 3},
        {"rows": 8, "wide_warps": 2},
        {"wide_warps": 2},
        {"rows": 4},
        {"columns": 64},
    ]
    # At 224 pixels an image has 19 visible tiles: 76 rows at the third stage, 19 at the last. Parts
    # that divide these evenly leave fewer lanes idle.
    if side == 1:
        evenly = [{"rows": 4, "part": 32, "wide_warps": 2}, {"rows": 4, "columns": 512}]
    elif side == 2:
        evenly = [{"rows": 4, "part": 80, "wide_warps": 2}, {"rows": 8, "part": 80}]
    else:
        evenly = [{"rows": 4, "part": 152, "wide_warps": 2}, {"rows": 8, "part": 152}]
    found = [triton.Layout(**change) for change in (*evenly, *changes)]
    return _different(triton.WIDE, found)


KERNELS: dict[str, Callable[[int, int], list[Layout]]] = {
    "convolution, forward": _convolution_forward,
    "convolution, weight gradient": _weight_gradient,
    "LayerNorm, forward": _normalisation,
    "LayerNorm, backward": functools.partial(_normalisation, backward=True),
    "GELU and GRN, forward": _activation,
    "GELU and GRN, backward": _activation,
}


def _divided(default: Layout, columns: int, block: int, each: int) -> Layout:
    """Sites and channels of a program, and for each thread so many channels of a row of sites."""
    warps = max(1, columns * block // (32 * each))
    return default._replace(columns=columns, block=max(16, block), warps=warps, each=each)


def _sums(layout: Layout, rows: int) -> int:
    """Registers of a thread for so many rows."""
    registers: int = rows * layout.columns * layout.block // (32 * layout.warps)
    return registers


def _different(
    default: Layout, found: Sequence[Layout], fits: Callable[[Layout], bool] = lambda _: True
) -> list[Layout]:
    return list(dict.fromkeys(itertools.chain([default], filter(fits, found))))


def _prepared(kernel: str, shape: Shape) -> tuple[Contest, Sequence[Tensor]]:
    """And what the kernel's result has to be."""
    contest = CONTESTS[kernel](shape)
    return contest, contest.theirs()


def _measured(
    prepared: Callable[[], tuple[Contest, Sequence[Tensor]]],
    layout: Layout,
    runtime: Runtime,
    repeats: int,
    calls: int,
) -> dict[str, Any]:
    contest, expected = prepared()
    assert contest.alone is not None
    call = functools.partial(contest.alone, layout)
    contest.renew()
    row = compared(call(), expected)
    if "error" in row:
        return row
    seconds = _seconds(call, runtime, repeats, calls)
    return row | {
        "seconds": seconds,
        "gigabytes_per_second": contest.traffic / seconds / 1e9,
    }


def _seconds(call: Callable[[], object], runtime: Runtime, repeats: int, calls: int) -> float:
    """Of one call, by the device's own clock."""
    if runtime.device.type != "cuda":
        return seconds_of(call, runtime)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(runtime.device):
        with torch.cuda.graph(graph):
            for _ in range(calls):
                call()
        turns: list[float] = []
        for _ in range(repeats):
            began, ended = _event(), _event()
            graph.replay()  # keeps the device busy while the host comes up with the rest
            began.record()
            for _ in range(REPLAYS):
                graph.replay()
            ended.record()
            runtime.synchronise()
            turns.append(began.elapsed_time(ended) / 1e3 / (calls * REPLAYS))
    return statistics.median(turns)


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
