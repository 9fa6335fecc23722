"""Where the time of a tiled step goes: the device's kernels by name, and what its host needs."""

import cProfile
import functools
import pstats
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from fcmae.benchmarks import measuring
from fcmae.benchmarks.pretraining.measurement import step_arithmetic
from fcmae.benchmarks.pretraining.workload import Case, Workload
from fcmae.training.devices import Runtime

FEWEST = 2  # images: a step's kernels then take next to no time, and what is left is the host's
NAME = 120  # letters of a kernel's name that are kept: templates have thousands

Step = Callable[[Tensor], None]  # of a mask: bool [B, h, w], True where masked


class Kernel(NamedTuple):
    """All calls of one kernel, or of one function of the host, in one step."""

    name: str
    calls: float
    seconds: float


def time_steps(
    ways: Mapping[str, Step], workload: Workload, repeats: int, calls: int
) -> dict[str, list[float]]:
    """Seconds of a step of each way, round by round; a turn is `calls` steps with fresh masks."""
    turns = measuring.take_turns(
        {way: functools.partial(all_of, step) for way, step in ways.items()},
        workload.runtime,
        repeats,
        lambda: [workload.fresh_mask() for _ in range(calls)],
    )
    return {way: [value / calls for value in seconds] for way, seconds in turns.items()}


def all_of(step: Step, masks: Sequence[Tensor]) -> None:
    """A step with each mask, one after another."""
    for mask in masks:
        step(mask)


def kernels_of(step: Callable[[], None], device: torch.device, steps: int) -> list[Kernel]:
    """What runs on the device in a step, the longest first; on a processor, PyTorch's operators.

    Args:
        step: is called `steps` times under the profiler.
        device: where it computes.
        steps: over which calls and seconds are averaged.
    """
    on_device = device.type == "cuda"
    activity = ProfilerActivity.CUDA if on_device else ProfilerActivity.CPU
    with profile(activities=[activity], acc_events=True) as profiler:
        for _ in range(steps):
            step()
        if on_device:
            torch.cuda.synchronize(device)
    kind = DeviceType.CUDA if on_device else DeviceType.CPU
    time = "self_device_time_total" if on_device else "self_cpu_time_total"
    found = [
        Kernel(event.key[:NAME], event.count / steps, getattr(event, time) / 1e6 / steps)
        for event in profiler.key_averages()
        if event.device_type == kind and not event.is_user_annotation
    ]
    return sorted(found, key=lambda kernel: -kernel.seconds)


def measure_step(
    device: torch.device,
    *,
    model: str,
    batch_size: int,
    precision: str = "bf16",
    image_size: int = 224,
    turns: int = 3,
    steps: int = 4,
) -> Iterator[dict[str, Any]]:
    """Whole tiled steps, AdamW's update too: images a second, and device and host apart.

    `device_seconds` is the sum of a step's kernels. `host_seconds` is a step of two images, whose
    kernels take next to no time: what launching takes, whatever the batch. A step takes about the
    larger of the two, and more where the host waits for the device in between.

    Yields:
        One row; times in seconds, memory in bytes above weights, optimiser and images.
    """
    case = Case(model, image_size, batch_size, 0.6, precision)
    step, runtime = _step_of(case, device)
    memory = measuring.peak_memory(step, device)
    products = measuring.matrix_products(runtime)
    seconds = _seconds(step, runtime, turns, steps, products)
    kernels = kernels_of(step, device, steps)
    few, _ = _step_of(replace(case, batch_size=FEWEST), device)
    median, rate = statistics.median(seconds), products.fastest().per_second
    yield {
        "images_per_second": batch_size / median,
        "step_seconds": median,
        "turns": seconds,
        "device_seconds": sum(kernel.seconds for kernel in kernels),
        "host_seconds": statistics.median(_seconds(few, runtime, turns, steps)),
        "launches": sum(kernel.calls for kernel in kernels),
        "memory": memory,
        # A multiply-add is two operations.
        "of_matrix_products": 2 * step_arithmetic(case, "tiled") / median / rate,
    }


def profile_step(
    device: torch.device,
    *,
    model: str,
    batch_size: int = 64,
    precision: str = "bf16",
    image_size: int = 224,
    top: int = 25,
    steps: int = 4,
) -> Iterator[dict[str, Any]]:
    """The kernels of a whole tiled step that take the longest.

    Yields:
        A row for each of `top` kernels, seconds and calls of one step, its share of all; then one
        that names what all of them come to.
    """
    step, _ = _step_of(Case(model, image_size, batch_size, 0.6, precision), device)
    yield from _ranked(kernels_of(step, device, steps), top, "all kernels")


def profile_host(
    device: torch.device,
    *,
    model: str,
    precision: str = "bf16",
    image_size: int = 224,
    top: int = 25,
    steps: int = 8,
) -> Iterator[dict[str, Any]]:
    """The functions in which the host spends a whole tiled step of two images, by itself alone.

    The profiler slows Python's functions down, more than those of libraries: it shows where to
    look, and the last row by how much.

    Yields:
        A row for each of `top` functions, seconds and calls of one step, its share of all; then
        one for all of them, with the seconds of a step that nobody watches.
    """
    step, runtime = _step_of(Case(model, image_size, FEWEST, 0.6, precision), device)
    (alone,) = _seconds(step, runtime, 1, steps)
    watch = cProfile.Profile()
    # The backward pass has a thread of its own, which would not be watched.
    with torch.autograd.set_multithreading_enabled(False):
        watch.enable()
        for _ in range(steps):
            step()
        watch.disable()
    functions = []
    for (file, line, name), figures in pstats.Stats(watch).stats.items():  # type: ignore[attr-defined]
        where = f"{Path(file).parent.name}/{Path(file).name}:{line} " if line else ""
        functions.append(Kernel(f"{where}{name}"[:NAME], figures[1] / steps, figures[2] / steps))
    functions.sort(key=lambda function: -function.seconds)
    *longest, everything = _ranked(functions, top, "all functions")
    yield from longest
    yield {**everything, "alone_seconds": alone}


def _step_of(case: Case, device: torch.device) -> tuple[Callable[[], None], Runtime]:
    """A whole tiled step, with a fresh mask, that has been taken twice; and where."""
    workload = Workload(case, device)

    def step() -> None:
        workload.whole_step(workload.fresh_mask(), "tiled")

    for _ in range(2):
        step()
    return step, workload.runtime


def _seconds(
    step: Callable[[], None], runtime: Runtime, turns: int, steps: int, *rates: measuring.Probe
) -> list[float]:
    """Of one step, in each turn of so many."""

    def turn(number: int) -> None:
        for _ in range(number):
            step()

    taken = measuring.take_turns({"": turn}, runtime, turns, lambda: steps, warm_up=0, rates=rates)
    return [value / steps for value in taken[""]]


def _ranked(found: Sequence[Kernel], top: int, everything: str) -> Iterator[dict[str, Any]]:
    seconds = sum(kernel.seconds for kernel in found)
    for rank, kernel in enumerate(found[:top], 1):
        yield {"rank": rank, **kernel._asdict(), "share": kernel.seconds / seconds}
    calls = sum(kernel.calls for kernel in found)
    whole = Kernel(everything, calls, seconds)
    yield {"rank": None, **whole._asdict(), "share": 1.0}
