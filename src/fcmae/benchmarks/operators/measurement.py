"""One operator measured: its implementations in turns, and what the device could do beside them."""

import statistics
from typing import Any

import torch

from fcmae.benchmarks.operators.cases import Implementation, Operator
from fcmae.benchmarks.rates import Rate, matrix_products, memory_traffic
from fcmae.benchmarks.timing import ratios, seconds_of
from fcmae.training.devices import Place

PASSES = ("forward", "backward")


def measure_operator(operator: Operator, place: Place, repeats: int) -> list[dict[str, Any]]:
    """A row for each implementation, the plain one first.

    Raises:
        RuntimeError: if they do not agree.
    """
    operator.require_agreement(place)
    products, traffic = matrix_products(place), memory_traffic(place)
    seconds: dict[str, dict[str, list[float]]] = {
        implementation.name: {name: [] for name in PASSES}
        for implementation in operator.implementations
    }
    for turn in range(repeats + 1):
        for implementation in operator.implementations:
            for name, value in zip(PASSES, _passes(implementation, place), strict=True):
                if turn > 0:  # the first round warms up
                    seconds[implementation.name][name].append(value)
        if turn > 0:
            products.take_turn()
            traffic.take_turn()
    rates = (products.fastest(), traffic.fastest())
    plain = seconds[operator.implementations[0].name]
    return [
        {
            "operator": operator.name,
            "stage": operator.stage,
            "implementation": name,
            "seconds": times,
            **{
                what: _pass(operator, index, times[what], plain[what], rates)
                for index, what in enumerate(PASSES)
            },
            "matrix_products_per_second": rates[0].per_second,
            "bytes_per_second": rates[1].per_second,
        }
        for name, times in seconds.items()
    ]


def _passes(implementation: Implementation, place: Place) -> tuple[float, float]:
    """Seconds of the forward and of the backward pass."""
    results: list[torch.Tensor] = []

    def forward() -> None:
        with place.autocast():
            results.append(implementation.forward())

    ahead = seconds_of(forward, place)
    (out,) = results
    outer = torch.ones_like(out)
    back = seconds_of(lambda: torch.autograd.grad(out, implementation.variables, outer), place)
    return ahead, back


def _pass(
    operator: Operator,
    index: int,
    seconds: list[float],
    plain: list[float],
    rates: tuple[Rate, Rate],
) -> dict[str, Any]:
    """What the times of one pass come to."""
    amounts = (operator.operations[index], operator.bytes[index])
    times = [amount / rate.per_second for amount, rate in zip(amounts, rates, strict=True)]
    bound = times.index(max(times))
    faster = ratios(plain, seconds)
    return {
        "median_seconds": statistics.median(seconds),
        "speedup": statistics.median(faster),
        "speedup_range": [faster[0], faster[-1]],
        "bound": ("matrix products", "memory")[bound],
        "share": statistics.median(rates[bound].shares(amounts[bound], seconds)),
    }
