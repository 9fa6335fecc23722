"""The one optimisation loop. It knows steps, not tasks: a task gives it batches and a loss.

It yields after each step, and its caller decides what to log, save and show in between.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from fcmae.parallel.processes import add_up, exchange
from fcmae.training.devices import Runtime


class MicroBatch(Protocol):
    """What the loop must know of a batch."""

    @property
    def step(self) -> int:
        """The optimiser step that it belongs to."""

    @property
    def indices(self) -> Sequence[int]:
        """Its images."""


Batch = TypeVar("Batch", bound=MicroBatch)


class Summed(NamedTuple):
    """A loss that is a mean over something other than images: labelled pixels, sampled boxes."""

    total: Tensor  # summed over a micro-batch
    number: Tensor  # of what it is summed over; in a step with none, the gradient is zero


def value_of(loss: Tensor | Summed) -> Tensor:
    """The loss of a micro-batch as one number, whatever it is divided by."""
    return loss.total if isinstance(loss, Summed) else loss


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step."""

    number: int  # steps finished so far, from 1
    loss: float  # mean over the global batch
    learning_rate: float
    gradient_norm: float
    seconds: float
    waiting: float  # seconds of these that were spent waiting for images


class NonFiniteError(ArithmeticError):
    """The loss or the gradient is not a number; the module is still that of the step before."""

    def __init__(self, step: int, what: str, value: float) -> None:
        super().__init__(f"step {step}: the {what} is {value}")
        self.step = step


def optimise(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
    loss_of: Callable[[Batch], Tensor | Summed],
    *,
    local_batch_size: int,
    learning_rate: Callable[[int], float],
    start: int,
    stop: int,
    runtime: Runtime,
    interrupted: Callable[[], bool],
) -> Iterator[Step]:
    """Run steps `start` to `stop`, accumulating micro-batches; ends early when interrupted.

    Args:
        module: what is trained; DistributedDataParallel when there are several processes.
        optimizer: its groups' rates are set to `learning_rate(step)` times their "scale", if any.
        batches: micro-batches in the order of steps.
        loss_of: mean loss over the images of a micro-batch; or a sum, and of how many: then a step
            takes the mean over its whole global batch. Either way it does not matter how a batch
            is divided into micro-batches and processes.
        local_batch_size: images of a step in this process, over all its micro-batches.
        learning_rate: of a step, counted from 0.
        start: the first step.
        stop: the step after the last.
        runtime: device and processes.
        interrupted: asked between micro-batches; a step cut short leaves no trace.

    Raises:
        NonFiniteError: before a step that would have written NaN into the weights.
    """
    module.train()
    buffers = list(module.buffers())
    for step in range(start, stop):
        began, waiting = time.perf_counter(), 0.0
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step) * group.get("scale", 1.0)
        optimizer.zero_grad(set_to_none=True)
        # Summed loss; whether a process should stop; what the loss is summed over, if it says so.
        total = torch.zeros(3, device=runtime.device)
        with contextlib.ExitStack() as undo:
            undo.callback(_restore, buffers, [buffer.clone() for buffer in buffers])
            seen = 0
            while seen < local_batch_size:
                asked = time.perf_counter()
                try:
                    batch = next(batches)
                except RuntimeError:
                    if interrupted():  # the signal reached the readers too
                        return
                    raise
                waiting += time.perf_counter() - asked
                assert batch.step == step
                seen += len(batch.indices)
                share = len(batch.indices) / local_batch_size
                with exchange(module, now=seen == local_batch_size):
                    loss, number = _part(loss_of(batch), share)
                    loss.backward()  # type: ignore[no-untyped-call]
                total[0] += loss.detach()
                total[2] += number
                if runtime.processes == 1 and interrupted():
                    return
            total[1] = interrupted()
            summed, stopping, number = add_up(total).tolist()
            if stopping:
                return
            gradients = [p.grad for p in module.parameters() if p.grad is not None]
            mean = summed / (number or runtime.processes)
            if number:  # processes exchanged the mean of their gradients
                for gradient in gradients:
                    gradient.mul_(runtime.processes / number)
            norm = torch.nn.utils.get_total_norm(gradients)
            _require_finite(step, "loss", mean)
            _require_finite(step, "gradient's norm", norm.item())
            optimizer.step()
            undo.pop_all()
        yield Step(
            number=step + 1,
            loss=mean,
            learning_rate=learning_rate(step),
            gradient_norm=norm.item(),
            seconds=time.perf_counter() - began,
            waiting=waiting,
        )


def _restore(buffers: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Undo a forward pass, which moves BatchNorm's statistics."""
    for buffer, value in zip(buffers, values, strict=True):
        buffer.copy_(value)


def _require_finite(step: int, what: str, value: float) -> None:
    if not math.isfinite(value):
        raise NonFiniteError(step, what, value)


def _part(found: Tensor | Summed, share: float) -> tuple[Tensor, Tensor | float]:
    """A micro-batch's part in the loss of its step, and over how many that is summed, if it is."""
    return (found.total, found.number.detach()) if isinstance(found, Summed) else (found * share, 0)
