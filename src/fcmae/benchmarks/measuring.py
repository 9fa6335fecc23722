"""What is measured: seconds in turns, bytes at the peak, and what the device itself can do.

Rates of plain matrix products and of moving memory are measured beside what is compared with them,
so that a busy machine disturbs both alike. Memory is counted by CUDA's allocator. On Linux the
system counts the pages of a process, if the C library is glibc and blocks go back at once when they
are freed.
"""

import ctypes
import functools
import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from fcmae.training.devices import Runtime

T = TypeVar("T")

TOO_LARGE = "does not fit in memory"  # the error of a row
SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192), "mps": (2048, 4096)}  # of square matrices
TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2}  # relative differences: rounding, with a margin of ten
BYTES = {"cpu": 1 << 28, "cuda": 1 << 30, "mps": 1 << 28}  # far beyond every cache


# Time


def seconds_of(call: Callable[[], object], runtime: Runtime) -> float:
    """Wall time of one call, all that it started on the device included."""
    runtime.synchronise()
    began = time.perf_counter()
    call()
    runtime.synchronise()
    return time.perf_counter() - began


def take_turns(
    ways: Mapping[str, Callable[[T], object]],
    runtime: Runtime,
    repeats: int,
    draw: Callable[[], T],
    *,
    warm_up: int = 1,
    rates: Sequence["Probe"] = (),
) -> dict[str, list[float]]:
    """Seconds of each way, round by round.

    Args:
        ways: functions of what is drawn.
        runtime: where they compute.
        repeats: rounds that count.
        draw: called once a round: all ways get the same.
        warm_up: rounds before these.
        rates: of the device, which take a turn at the end of each round that counts.
    """
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(-warm_up, repeats):
        drawn = draw()
        for way, call in ways.items():
            taken = seconds_of(functools.partial(call, drawn), runtime)
            if turn >= 0:
                seconds[way].append(taken)
        for rate in rates if turn >= 0 else ():
            rate.take_turn()
    return seconds


def images_per_second(seconds: Mapping[str, Sequence[float]], images: int) -> dict[str, float]:
    """By way, from the median over rounds."""
    return {way: images / statistics.median(values) for way, values in seconds.items()}


def speedup(slow: Sequence[float], fast: Sequence[float]) -> dict[str, Any]:
    """Fields of a row: how many times faster, the median of the ratios within rounds; the range."""
    ratios = sorted(one / other for one, other in zip(slow, fast, strict=True))
    return {"speedup": statistics.median(ratios), "speedup_range": [ratios[0], ratios[-1]]}


def speedups(
    seconds: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """The same fields for pairs of ways, the fast one first, by names such as "tiled / dense"."""
    found = {f"{fast} / {slow}": speedup(seconds[slow], seconds[fast]) for fast, slow in pairs}
    fields = ("speedup", "speedup_range")
    return {field: {name: values[field] for name, values in found.items()} for field in fields}


def relative_difference(actual: Tensor, expected: Tensor) -> float:
    """By norms: NaN where one has a NaN."""
    return float((actual - expected).norm() / expected.norm())


# Memory


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an allocation was refused: CUDA's, numpy's, or torch's on the processor."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def memory_can_be_counted() -> bool:
    """Whether this is Linux with glibc, and a process may start its peak again."""
    try:
        ctypes.CDLL("libc.so.6")
        _reset_peak()
    except OSError:  # another system or C library, or a sandbox without /proc
        return False
    return True


def peak_memory(call: Callable[[], object], device: torch.device) -> int:
    """Most bytes held at one time during `call`, less those held before it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    _reset_peak()
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    """Bytes, from a line such as `VmRSS:   1234 kB`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


# The device's rates


@dataclass(frozen=True, slots=True)
class Rate:
    """The fastest of what was tried."""

    what: str
    amount: float  # operations, or bytes, of one call
    seconds: list[float]  # of each round

    @property
    def per_second(self) -> float:
        """Operations or bytes a second, by the median round."""
        return self.amount / statistics.median(self.seconds)

    def share(self, amount: float, seconds: Sequence[float]) -> float:
        """Which share of this rate `amount` in `seconds` is: the median of those within rounds."""
        return statistics.median(
            (amount / own) / (self.amount / other)
            for own, other in zip(seconds, self.seconds, strict=True)
        )


class Probe:
    """Candidates that are timed once a round; the one with the best median counts."""

    def __init__(self, candidates: dict[str, tuple[float, Callable[[], object]]], runtime: Runtime):
        self.candidates, self.runtime = candidates, runtime
        self.seconds: dict[str, list[float]] = {name: [] for name in candidates}
        for _, call in candidates.values():
            call()  # the first call makes plans and places

    def take_turn(self) -> None:
        """Time each candidate once."""
        for name, (_, call) in self.candidates.items():
            self.seconds[name].append(seconds_of(call, self.runtime))

    def fastest(self) -> Rate:
        """The best candidate so far; at least one turn must have been taken."""
        rates = [
            Rate(name, amount, self.seconds[name]) for name, (amount, _) in self.candidates.items()
        ]
        return max(rates, key=lambda rate: rate.per_second)


def matrix_products(runtime: Runtime) -> Probe:
    """Products of two square matrices in the step's precision, in operations."""
    candidates: dict[str, tuple[float, Callable[[], object]]] = {}
    dtype = torch.bfloat16 if runtime.precision == "bf16" else torch.float32
    for side in SIDES[runtime.device.type]:
        a, b = (torch.randn(side, side, device=runtime.device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        operations = 2.0 * side**3
        candidates[f"torch.mm, {side}"] = operations, functools.partial(torch.mm, a, b, out=out)
        if (other := _onednn(a, b)) is not None:
            candidates[f"oneDNN, {side}"] = operations, other
    return Probe(candidates, runtime)


def memory_traffic(runtime: Runtime) -> Probe:
    """Copies of a block far larger than a cache, in bytes read and written."""
    block = torch.zeros(BYTES[runtime.device.type] // 4, device=runtime.device)
    target = torch.empty_like(block)
    return Probe({"copy": (2.0 * BYTES[runtime.device.type], lambda: target.copy_(block))}, runtime)


def _onednn(a: Tensor, b: Tensor) -> Callable[[], object] | None:
    """The processor's other library, where torch has it and it takes these."""
    operator = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if a.device.type != "cpu" or operator is None:
        return None
    call: Callable[[], object] = functools.partial(operator, a, b, None, "none", [], "")
    try:
        call()
    except RuntimeError:
        return None
    return call
