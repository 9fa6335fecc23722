"""Ours in turns with other ways: a pre-training step, and timm's classifier of the same weights.

The step is our tiled one.

| opponent                      | what it is                                                    |
| ----------------------------- | ------------------------------------------------------------- |
| timm, channels last, compiled | timm's classifier, which hides nothing, by PyTorch's compiler |
| masked, compiled              | dense maps with masks around convolutions, blocks compiled    |
| tiled, compiled               | tiles by plain operators, blocks compiled                     |
| SparK's masking               | dense maps, multiplied by what is active (Tian et al., 2023)  |
| gathered tokens               | tiles by plain operators: convolutions through a dense map    |
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from fcmae.benchmarks import measuring
from fcmae.benchmarks.inference import InferenceCase, measure
from fcmae.benchmarks.pretraining.workload import (
    Case,
    Competitor,
    Workload,
    difference,
    gradient_of,
    verdict,
)
from fcmae.errors import unknown
from fcmae.models.layers import compile_blocks
from fcmae.ops import kernels
from gpu.device_time import Step, time_steps
from gpu.spark import visible_by_multiplying

OURS, THEIRS = "tiled", "opponent"


def time_opponent(
    device: torch.device,
    *,
    opponent: str,
    model: str,
    batch_size: int,
    image_size: int = 224,
    mask_ratio: float = 0.6,
    precision: str = "bf16",
    repeats: int = 5,
    calls: int = 4,
) -> Iterator[dict[str, Any]]:
    """Time whole steps, of an opponent and of ours in turns: forward, backward and AdamW.

    Args:
        device: where; CUDA where memory is to be counted.
        opponent: one of `OPPONENTS`.
        model: a name of `fcmae.list_models()`.
        batch_size: images a step.
        image_size: pixels a side.
        mask_ratio: share of patches to mask.
        precision: fp32 or bf16.
        repeats: rounds; medians are taken over them.
        calls: steps of a turn, each with a fresh mask, the same for both. Where starting a kernel
            takes longer than running it, a single step would not show it.

    Yields:
        A row: the case and its opponent; images a second, peak bytes of a step above what was held
        before (None but on CUDA) and seconds a step of each; how many times faster tiled is;
        seconds of the opponent's first forward and backward pass; and how far its loss and gradient
        are from those of the masked mode, which defines the step. One that is further than rounding
        does not agree, and has its row all the same. timm's computes something else: None.

    Raises:
        ValueError: if there is no such opponent.
    """
    if opponent not in _BUILDERS:
        raise unknown("opponent", opponent, OPPONENTS)
    case = Case(model, image_size, batch_size, mask_ratio, precision)
    workload = Workload(case, device)
    torch.compiler.reset()  # what others compiled: each has its first step
    try:
        other = _BUILDERS[opponent](workload)
        first, agreement = _compared(other, workload)
        ours = functools.partial(workload.whole_step, mode=OURS)
        ways: dict[str, Step] = {OURS: ours, THEIRS: other.step}
        seconds = time_steps(ways, workload, repeats, calls)
        memory = None
        if device.type == "cuda":  # elsewhere pages are counted, in a process of their own
            mask = workload.fresh_mask()
            memory = {
                way: measuring.peak_memory(functools.partial(step, mask), device)
                for way, step in ways.items()
            }
    finally:
        torch.compiler.reset()
    yield {
        **asdict(case),
        "opponent": opponent,
        "images_per_second": measuring.images_per_second(seconds, case.batch_size),
        **measuring.speedups(seconds, [(OURS, THEIRS)]),
        **agreement,
        "first_step": first,
        "memory": memory,
        "calls": calls,
        "seconds": seconds,
    }


def time_inference(
    device: torch.device,
    *,
    model: str,
    batch_size: int,
    image_size: int = 224,
    precision: str = "bf16",
    repeats: int = 15,
) -> Iterator[dict[str, Any]]:
    """Rows of `measure` for eager models: the median over `repeats` rounds."""
    case = InferenceCase(model, image_size, batch_size, precision)
    yield from measure(case, device, repeats, compiled=False)


@dataclass(frozen=True, slots=True)
class _Opponent:
    loss: Callable[[Tensor], Tensor]  # of a mask: bool [B, h, w], True where masked
    optimizer: torch.optim.Optimizer
    same: bool = True  # whether it computes what the masked mode does

    def step(self, mask: Tensor) -> None:
        self.loss(mask).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _compared(opponent: _Opponent, workload: Workload) -> tuple[float, dict[str, Any]]:
    """Seconds of an opponent's first passes, and the fields of its row about its agreement."""
    mask = workload.fresh_mask()
    masked = workload.gradient(mask, "masked")  # first: what libraries set up is not the opponent's
    workload.gradient(mask, OURS)
    found = []
    seconds = measuring.seconds_of(
        lambda: found.append(gradient_of(opponent.loss(mask), opponent.optimizer)), workload.runtime
    )
    if not opponent.same:
        return seconds, {"difference": None, "agrees": None}
    return seconds, verdict(difference(found[0], masked), workload.case.precision)


def _timm(workload: Workload) -> _Opponent:
    images = workload.images.contiguous(memory_format=torch.channels_last)
    competitor = Competitor(workload.case.model, images, workload.runtime)
    model = competitor.model.to(memory_format=torch.channels_last)
    competitor.model = cast(nn.Module, torch.compile(model))  # declared as a function
    return _Opponent(lambda _: competitor.loss(), competitor.optimizer, same=False)


def _compiled(workload: Workload, mode: str) -> _Opponent:
    twin = copy.deepcopy(workload)  # compiling changes a model
    compile_blocks(twin.autoencoder)
    return _Opponent(lambda mask: twin.loss(mask, mode), twin.optimizer)


def _spark(workload: Workload) -> _Opponent:
    encoder = workload.autoencoder.encoder
    return _Opponent(
        lambda mask: workload.loss_by(
            mask, lambda images, cells: visible_by_multiplying(encoder, images, cells)
        ),
        workload.optimizer,
    )


def _gathered(workload: Workload) -> _Opponent:
    def loss(mask: Tensor) -> Tensor:
        with plain_operators(workload.runtime.device):
            return workload.loss(mask, OURS)

    return _Opponent(loss, workload.optimizer)


_BUILDERS: dict[str, Callable[[Workload], _Opponent]] = {
    "timm, channels last, compiled": _timm,
    "masked, compiled": lambda workload: _compiled(workload, "masked"),
    "tiled, compiled": lambda workload: _compiled(workload, "tiled"),
    "SparK's masking": _spark,
    "gathered tokens": _gathered,
}
OPPONENTS = tuple(_BUILDERS)


@contextlib.contextmanager
def plain_operators(device: torch.device) -> Iterator[None]:
    """Have forward passes on a device choose PyTorch's operators, as if no kernels suited it.

    Backward passes follow what was chosen. Only a benchmark wants this, so that there is no switch
    for it: the table of what kernels suit is without the device for the time.
    """
    suited = kernels.SUITED.pop(device.type, None)
    try:
        yield
    finally:
        if suited is not None:
            kernels.SUITED[device.type] = suited
