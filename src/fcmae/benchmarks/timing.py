"""How long something takes, and how many times faster than something else."""

import time
from collections.abc import Callable, Sequence

from fcmae.training.devices import Place


def seconds_of(call: Callable[[], object], place: Place) -> float:
    """Wall time of one call, all that it started on the device included."""
    place.synchronise()
    began = time.perf_counter()
    call()
    place.synchronise()
    return time.perf_counter() - began


def ratios(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """How many times faster, within each round; ascending."""
    return sorted(one / other for one, other in zip(slow, fast, strict=True))
