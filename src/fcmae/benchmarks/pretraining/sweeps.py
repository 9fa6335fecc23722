"""Which cases a benchmark of pre-training has, and running them so that nothing done is lost."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from rich.console import Console

from fcmae.benchmarks.pretraining.measurement import Settings, expected_work, measure
from fcmae.benchmarks.pretraining.workload import Case
from fcmae.console.units import duration
from fcmae.findings.record import Record
from fcmae.sizes import is_v2, list_models, size_of
from fcmae.training.devices import choose_precision

Sweep = Literal["mask-ratio", "image-size", "batch", "size"]

# The field of a case that a sweep varies, and what it is called.
FIELDS = {
    "mask-ratio": ("mask_ratio", "mask ratio"),
    "image-size": ("image_size", "image size (pixels a side)"),
    "batch": ("batch_size", "batch size"),
    "size": ("model", "size of the model"),
}
RATIOS = (0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
PIXELS = (96, 128, 160, 224, 288, 384)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; an empty field is filled with what suits the sweep and the device."""

    models: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    image_sizes: tuple[int, ...] = ()
    mask_ratios: tuple[float, ...] = ()
    precisions: tuple[str, ...] = ()


def choose_cases(wanted: Wanted, sweep: Sweep | None, device: torch.device) -> list[Case]:
    """Every combination of what is wanted."""
    large = device.type == "cuda"
    models = wanted.models or _models(sweep, large=large)
    pixels = wanted.image_sizes or (PIXELS if sweep == "image-size" else (224,))
    ratios = wanted.mask_ratios or (RATIOS if sweep == "mask-ratio" else (0.6,))
    precisions = wanted.precisions or (choose_precision("auto", device),)
    return [
        Case(model, image_size, batch_size, ratio, precision)
        for model, image_size, ratio, precision in itertools.product(
            models, pixels, ratios, precisions
        )
        for batch_size in wanted.batch_sizes or _batch_sizes(model, sweep, large=large)
    ]


def run_cases(
    cases: Sequence[Case],
    device: torch.device,
    settings: Settings,
    record: Record | None = None,
) -> list[dict[str, Any]]:
    """Measure one case after the other; each is in the record before the next begins.

    Args:
        cases: what to measure.
        device: where.
        settings: how.
        record: what is already there is not measured again; what is measured is added.

    Returns:
        A row for each case, in their order.
    """
    console = Console(stderr=True, highlight=False)
    known = {case: record.row(asdict(case)) if record else None for case in cases}
    ahead = [case for case in cases if known[case] is None]
    left = _time_left(ahead)
    with console.status("") as status:
        for number, case in enumerate(ahead, 1):
            line = f"{_words(case)} ({number} of {len(ahead)}{left(number - 1)})"
            status.update(line)
            if not console.is_terminal:
                console.print(line, soft_wrap=True)
            known[case] = row = measure(case, device, settings)
            if record:
                record.add(row)
    return [row for row in (known[case] for case in cases) if row is not None]


def _time_left(cases: Sequence[Case]) -> Callable[[int], str]:
    """Words about the time left once so many cases are done, by what each has to compute."""
    began = time.monotonic()
    work = [expected_work(case) for case in cases]

    def words(done: int) -> str:
        if done == 0:
            return ""
        seconds = (time.monotonic() - began) * sum(work[done:]) / sum(work[:done])
        return f", about {duration(seconds)} left"

    return words


def _models(sweep: Sweep | None, *, large: bool) -> tuple[str, ...]:
    if sweep is None:
        return ("convnextv2_atto", "convnextv2_tiny")
    if sweep != "size":
        return ("convnextv2_base" if large else "convnextv2_atto",)
    v2 = tuple(model for model in list_models() if is_v2(model))
    return v2 if large else tuple(m for m in v2 if size_of(m).width <= size_of(BASE).width)


BASE = "convnextv2_base"  # larger ones take a processor hours


def _batch_sizes(model: str, sweep: Sweep | None, *, large: bool) -> tuple[int, ...]:
    if sweep == "batch":
        return (8, 16, 32, 64, 128, 256) if large else (1, 2, 4, 8, 16, 32)
    if large:
        return (64,)
    if sweep in ("size", "image-size"):
        return (4,)  # one that suits every case, since memory grows with it
    return ({40: 16, 48: 16, 64: 16, 80: 16, 96: 8}.get(size_of(model).width, 4),)


def _words(case: Case) -> str:
    return (
        f"{case.model}, {case.image_size} px, batch {case.batch_size}, mask {case.mask_ratio:g}, "
        f"{case.precision}"
    )
