"""Where the time of a tiled step goes: the device's kernels by name, and what its host needs."""

import cProfile
import pstats
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from fcmae.benchmarks.memory import peak_memory
from fcmae.benchmarks.pretraining.measurement import step_arithmetic
from fcmae.benchmarks.pretraining.workload import Case, Workload
from fcmae.benchmarks.rates import matrix_products
from fcmae.benchmarks.timing import seconds_of

FEWEST = 2  # images: a step's kernels then take next to no time, and what is left is the host's
NAME = 120  # letters of a kernel's name that are kept: templates have thousands


class Kernel(NamedTuple):
    """All calls of one kernel in one step."""

    name: str
    calls: float
    seconds: float


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
    found = [
        Kernel(
            event.key[:NAME],
            event.count / steps,
            (event.self_device_time_total if on_device else event.self_cpu_time_total)
            / 1e6
            / steps,
        )
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
    workload = Workload(case, device)
    step = _step_of(workload)
    memory = peak_memory(step, device)
    products = matrix_products(workload.place)
    seconds = []
    for _ in range(turns):
        seconds.append(seconds_of(lambda: [step() for _ in range(steps)], workload.place) / steps)
        products.take_turn()
    kernels = kernels_of(step, device, steps)
    host = host_seconds(case, device, turns, steps)
    median, rate = statistics.median(seconds), products.fastest().per_second
    yield {
        "images_per_second": batch_size / median,
        "step_seconds": median,
        "turns": seconds,
        "device_seconds": sum(kernel.seconds for kernel in kernels),
        "host_seconds": host,
        "launches": sum(kernel.calls for kernel in kernels),
        "memory": memory,
        # A multiply-add is two operations.
        "of_matrix_products": 2 * step_arithmetic(case, "tiled") / median / rate,
    }


def host_seconds(case: Case, device: torch.device, turns: int, steps: int) -> float:
    """The median time of a step of very few images."""
    few = Case(case.model, case.image_size, FEWEST, case.mask_ratio, case.precision)
    workload = Workload(few, device)
    step = _step_of(workload)
    return statistics.median(
        seconds_of(lambda: [step() for _ in range(steps)], workload.place) / steps
        for _ in range(turns)
    )


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
    step = _step_of(Workload(Case(model, image_size, batch_size, 0.6, precision), device))
    kernels = kernels_of(step, device, steps)
    everything = sum(kernel.seconds for kernel in kernels)
    for rank, kernel in enumerate(kernels[:top], 1):
        yield {"rank": rank, **kernel._asdict(), "share": kernel.seconds / everything}
    yield {
        "rank": None,
        "name": "all kernels",
        "calls": sum(kernel.calls for kernel in kernels),
        "seconds": everything,
        "share": 1.0,
    }


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
    case = Case(model, image_size, FEWEST, 0.6, precision)
    workload = Workload(case, device)
    step = _step_of(workload)
    alone = seconds_of(lambda: [step() for _ in range(steps)], workload.place) / steps
    watch = cProfile.Profile()
    # The backward pass has a thread of its own, which would not be watched.
    with torch.autograd.set_multithreading_enabled(False):
        watch.enable()
        for _ in range(steps):
            step()
        watch.disable()
    found = sorted(pstats.Stats(watch).stats.items(), key=lambda item: -item[1][2])  # type: ignore[attr-defined]
    everything = sum(figures[2] for _, figures in found)
    for rank, ((file, line, function), figures) in enumerate(found[:top], 1):
        place = f"{Path(file).parent.name}/{Path(file).name}:{line} " if line else ""
        yield {
            "rank": rank,
            "name": f"{place}{function}"[:NAME],
            "calls": figures[1] / steps,
            "seconds": figures[2] / steps,
            "share": figures[2] / everything,
        }
    yield {
        "rank": None,
        "name": "all functions",
        "calls": sum(figures[1] for _, figures in found) / steps,
        "seconds": everything / steps,
        "share": 1.0,
        "alone_seconds": alone,
    }


def _step_of(workload: Workload) -> Callable[[], None]:
    """A whole tiled step, with a fresh mask, that has been taken twice."""

    def step() -> None:
        workload.step(workload.fresh_mask(), "tiled")
        workload.forget_gradients()

    for _ in range(2):
        step()
    return step
