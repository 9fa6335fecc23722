"""What the device itself can do: the rate of plain matrix products, and of moving memory.

Measured beside what is compared with it, so that a busy machine disturbs both alike.
"""

import functools
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fcmae.benchmarks.timing import seconds_of
from fcmae.training.devices import Place

SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192), "mps": (2048, 4096)}  # of square matrices
BYTES = {"cpu": 1 << 28, "cuda": 1 << 30, "mps": 1 << 28}  # far beyond every cache


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

    def shares(self, amount: float, seconds: list[float]) -> list[float]:
        """Which share of this rate something reached that did `amount` in `seconds`, by round."""
        return [
            (amount / own) / (self.amount / other)
            for own, other in zip(seconds, self.seconds, strict=True)
        ]


class Probe:
    """Candidates that are timed once a round; the one with the best median counts."""

    def __init__(self, candidates: dict[str, tuple[float, Callable[[], object]]], place: Place):
        self.candidates, self.place = candidates, place
        self.seconds: dict[str, list[float]] = {name: [] for name in candidates}
        for _, call in candidates.values():
            call()  # the first call makes plans and places

    def take_turn(self) -> None:
        """Time each candidate once."""
        for name, (_, call) in self.candidates.items():
            self.seconds[name].append(seconds_of(call, self.place))

    def fastest(self) -> Rate:
        """The best candidate so far; at least one turn must have been taken."""
        rates = [
            Rate(name, amount, self.seconds[name]) for name, (amount, _) in self.candidates.items()
        ]
        return max(rates, key=lambda rate: rate.per_second)


def matrix_products(place: Place) -> Probe:
    """Products of two square matrices in the step's precision, in operations."""
    candidates: dict[str, tuple[float, Callable[[], object]]] = {}
    for side in SIDES[place.device.type]:
        a, b = (_matrix(side, place) for _ in range(2))
        out = torch.empty_like(a)
        operations = 2.0 * side**3
        candidates[f"torch.mm, {side}"] = operations, functools.partial(torch.mm, a, b, out=out)
        if (other := _onednn(a, b)) is not None:
            candidates[f"oneDNN, {side}"] = operations, other
    return Probe(candidates, place)


def memory_traffic(place: Place) -> Probe:
    """Copies of a block far larger than a cache, in bytes read and written."""
    block = torch.zeros(BYTES[place.device.type] // 4, device=place.device)
    target = torch.empty_like(block)
    return Probe({"copy": (2.0 * BYTES[place.device.type], lambda: target.copy_(block))}, place)


def _matrix(side: int, place: Place) -> Tensor:
    dtype = torch.bfloat16 if place.precision == "bf16" else torch.float32
    return torch.randn(side, side, device=place.device).to(dtype)


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
