"""Steps of any task: here a small regression in float64, so that equal means equal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from two_processes import run_pair, take_part

from fcmae.parallel.processes import share_gradients
from fcmae.training import checkpoint
from fcmae.training.devices import Runtime, start_runtime
from fcmae.training.engine import NonFiniteError, Step, Summed, optimise

CPU = Runtime(torch.device("cpu"), "fp32")
IMAGES, CHANNELS = 7, 13
STEPS = 5


@dataclass(frozen=True)
class Batch:
    """Some images of a step."""

    step: int
    indices: list[int]


def data(step: int, rank: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """All images of a step in one process, and what to predict of them."""
    generator = torch.Generator().manual_seed(100 * rank + step)
    images = torch.randn(IMAGES, CHANNELS, generator=generator, dtype=torch.float64)
    return images.to(dtype), images[:, :1].sin().to(dtype)


@dataclass
class Task:
    """A model, its optimiser and what came of them."""

    cuts: tuple[int, ...] = (IMAGES,)  # images of each micro-batch of a step
    dtype: torch.dtype = torch.float64
    rate: Callable[[int], float] = lambda step: 0.01 / (1 + step)
    interrupted: Callable[[], bool] = lambda: False
    poison: Callable[[Batch, Tensor], Tensor] = lambda batch, loss: loss
    read: list[Batch] = field(default_factory=list)
    rank: int = 0
    summed: bool = False  # over some of the values, of some images none

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(CHANNELS, 5), nn.GELU(), nn.Linear(5, 1))
        self.module.to(self.dtype)
        self.trained: nn.Module = self.module
        first, second = self.module[0].parameters(), self.module[2].parameters()
        self.optimizer = torch.optim.AdamW(
            [{"params": list(first), "scale": 0.5}, {"params": list(second)}]
        )

    def batches(self, start: int) -> Iterator[Batch]:
        for step in range(start, 1000):
            position = 0
            for size in self.cuts:
                batch = Batch(step, list(range(position, position + size)))
                self.read.append(batch)
                yield batch
                position += size

    def loss(self, batch: Batch) -> Tensor | Summed:
        images, wanted = data(batch.step, self.rank, self.dtype)
        errors = (self.trained(images[batch.indices]) - wanted[batch.indices]).square()
        if self.summed:
            counts = wanted[batch.indices] > 0.5  # of step 2 in the first process: none
            counts &= batch.step != 2 or self.rank > 0
            return Summed((errors * counts).sum(), counts.sum())
        return self.poison(batch, errors.mean())

    def steps(self, start: int = 0, stop: int = STEPS, **other: Any) -> Iterator[Step]:
        options = {"batches": self.batches(start), "runtime": CPU, **other}
        return optimise(
            self.trained,
            self.optimizer,
            loss_of=self.loss,
            local_batch_size=IMAGES,
            learning_rate=self.rate,
            start=start,
            stop=stop,
            interrupted=self.interrupted,
            **options,
        )

    def weights(self) -> Tensor:
        return torch.cat([value.detach().flatten() for value in self.module.parameters()]).clone()


# Accumulation


@pytest.mark.parametrize("cuts", [(3, 3, 1), (1, 6), (1,) * 7])
def test_micro_batches_of_any_size_add_up_to_the_batch(cuts: tuple[int, ...]) -> None:
    whole, cut = Task(), Task(cuts)
    for ours, theirs in zip(whole.steps(), cut.steps(), strict=True):
        assert theirs.loss == pytest.approx(ours.loss, rel=1e-6)  # the sum is kept in float32
        assert theirs.gradient_norm == pytest.approx(ours.gradient_norm, rel=1e-12)
    torch.testing.assert_close(cut.weights(), whole.weights(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cuts", [(4, 3), (3, 3, 1), (1,) * 7])
def test_a_sum_is_divided_by_what_the_whole_batch_sums_over(cuts: tuple[int, ...]) -> None:
    whole, cut = Task(summed=True), Task(cuts, summed=True)
    losses = []
    for ours, theirs in zip(whole.steps(), cut.steps(), strict=True):
        losses.append(ours.loss)
        assert theirs.loss == pytest.approx(ours.loss, rel=1e-6)
        assert theirs.gradient_norm == pytest.approx(ours.gradient_norm, rel=1e-12)
    torch.testing.assert_close(cut.weights(), whole.weights(), rtol=1e-12, atol=1e-14)

    images, wanted = data(0)
    with torch.no_grad():
        errors = (Task().module(images) - wanted).square()[wanted > 0.5]
    assert losses[0] == pytest.approx(errors.mean().item(), rel=1e-6)
    assert losses[2] == 0  # nothing counts, and nothing is not a number


def test_a_step_is_what_the_optimiser_does_by_hand() -> None:
    task, by_hand = Task((4, 3)), Task()
    list(task.steps())
    for step in range(STEPS):
        for group, scale in zip(by_hand.optimizer.param_groups, (0.5, 1.0), strict=True):
            group["lr"] = scale * by_hand.rate(step)
        by_hand.optimizer.zero_grad()
        by_hand.loss(Batch(step, list(range(IMAGES)))).backward()
        by_hand.optimizer.step()
    torch.testing.assert_close(task.weights(), by_hand.weights(), rtol=1e-12, atol=1e-14)


def test_no_batch_is_read_beyond_the_last_step() -> None:
    task = Task((4, 3))
    list(task.steps(start=2, stop=4))
    assert [batch.step for batch in task.read] == [2, 2, 3, 3]


# What is told of a step


def test_steps_are_numbered_by_how_many_are_finished() -> None:
    assert [step.number for step in Task().steps(start=2)] == [3, 4, 5]


def test_the_loss_is_that_of_the_weights_before_the_step() -> None:
    task = Task((2, 5))
    before = task.loss(Batch(0, list(range(IMAGES)))).item()
    assert next(task.steps()).loss == pytest.approx(before, rel=1e-6)


def test_the_gradient_norm_is_that_of_all_parameters() -> None:
    task, other = Task((2, 5)), Task()
    other.loss(Batch(0, list(range(IMAGES)))).backward()
    expected = torch.cat([value.grad.flatten() for value in other.module.parameters()]).norm()
    assert next(task.steps()).gradient_norm == pytest.approx(expected.item(), rel=1e-12)


def test_waiting_is_a_part_of_the_time() -> None:
    for step in Task((2, 5)).steps():
        assert 0 <= step.waiting <= step.seconds


def test_the_schedule_is_followed_step_by_step() -> None:
    asked: list[int] = []

    def rate(step: int) -> float:
        asked.append(step)
        return 0.1 * step

    task = Task(rate=rate)
    for step in task.steps(start=1, stop=4):
        rate_now = 0.1 * (step.number - 1)
        assert step.learning_rate == rate_now
        assert [group["lr"] for group in task.optimizer.param_groups] == [0.5 * rate_now, rate_now]
    assert set(asked) == {1, 2, 3}


def test_a_rate_of_zero_leaves_the_weights() -> None:
    task = Task(rate=lambda step: 0.0)
    before = task.weights()
    assert len(list(task.steps())) == STEPS
    assert torch.equal(task.weights(), before)


def test_layers_train_as_in_training() -> None:
    task = Task()
    task.module.eval()
    next(task.steps())
    assert task.module.training


def test_parameters_that_the_loss_does_not_reach_stay() -> None:
    task = Task()
    spare = nn.Parameter(torch.ones(3, dtype=torch.float64))
    task.module.register_parameter("spare", spare)
    task.optimizer.add_param_group({"params": [spare]})
    list(task.steps())
    assert torch.equal(spare, torch.ones(3, dtype=torch.float64))


# What is not a number


def bad(step: int, index: int, value: float) -> Callable[[Batch, Tensor], Tensor]:
    """The loss of the micro-batch with this image in this step becomes `value`."""
    return lambda batch, loss: (
        loss * value if batch.step == step and index in batch.indices else loss
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("index", [0, 6])  # in the first micro-batch, in the last
def test_a_loss_that_is_no_number_stops_before_the_weights_change(value: float, index: int) -> None:
    task, sound = Task((3, 3, 1), poison=bad(2, index, value)), Task((3, 3, 1))
    list(sound.steps(stop=2))
    finished = []
    with pytest.raises(NonFiniteError, match=r"step 2: the loss is -?(nan|inf)") as caught:
        finished.extend(step.number for step in task.steps())
    assert caught.value.step == 2
    assert torch.equal(task.weights(), sound.weights())
    for ours, theirs in zip(sound.module.parameters(), task.module.parameters(), strict=True):
        for what, state in sound.optimizer.state[ours].items():
            assert torch.equal(state, task.optimizer.state[theirs][what])


class Overflow(torch.autograd.Function):
    """Sound forward, a gradient that is no number."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return gradient * float("inf")


def test_a_gradient_that_is_no_number_stops_before_the_weights_change() -> None:
    def poison(batch: Batch, loss: Tensor) -> Tensor:
        return Overflow.apply(loss) if batch.step == 1 else loss

    task, sound = Task((3, 4), poison=poison), Task((3, 4))
    list(sound.steps(stop=1))
    with pytest.raises(NonFiniteError, match=r"step 1: the gradient's norm is (nan|inf)"):
        list(task.steps())
    assert torch.equal(task.weights(), sound.weights())


# Resuming


@pytest.mark.parametrize("at", range(STEPS + 1))
def test_resumed_at_any_step_the_bits_are_the_same(tmp_path: Path, at: int) -> None:
    whole, first, second = (Task((3, 4), torch.float32) for _ in range(3))
    told = list(whole.steps())
    list(first.steps(stop=at))
    checkpoint.save(tmp_path, first.module, first.optimizer, {"step": at})
    found = checkpoint.load(tmp_path, torch.device("cpu"))
    assert found is not None
    checkpoint.restore(found, second.module, second.optimizer)
    again = list(second.steps(start=found.state["step"]))
    assert torch.equal(second.weights(), whole.weights())
    assert [step.loss for step in again] == [step.loss for step in told[at:]]
    assert [step.gradient_norm for step in again] == [step.gradient_norm for step in told[at:]]


# Interruption


def test_a_run_interrupted_between_steps_ends_there() -> None:
    stop: list[bool] = []
    task, sound = Task((3, 4), interrupted=lambda: bool(stop)), Task((3, 4))
    for step in task.steps():
        if step.number == 2:
            stop.append(True)
    list(sound.steps(stop=2))
    assert step.number == 2
    assert torch.equal(task.weights(), sound.weights())


def test_a_step_that_is_cut_short_leaves_no_trace() -> None:
    read = Task((3, 3, 1)).read
    task = Task((3, 3, 1), interrupted=lambda: len(read) >= 5, read=read)  # step 1, image 3
    assert [step.number for step in task.steps()] == [1]
    assert len(read) == 5  # nor does it go on to the end of the step
    sound = Task((3, 3, 1))
    list(sound.steps(stop=1))
    assert torch.equal(task.weights(), sound.weights())
    task.interrupted = lambda: False  # and it goes on as if nothing had happened
    list(task.steps(start=1))
    list(sound.steps(start=1))
    assert torch.equal(task.weights(), sound.weights())


class Counted(nn.Module):
    """A module with a buffer that each forward pass moves, as BatchNorm's statistics are."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.module(x)


def test_buffers_are_those_of_whole_steps() -> None:
    read = Task((3, 3, 1)).read
    task = Task((3, 3, 1), interrupted=lambda: len(read) >= 5, read=read)  # step 1, image 3
    task.trained = Counted(task.module)
    list(task.steps())
    assert task.trained.passes == 3
    task = Task((3, 4), poison=bad(2, 6, float("nan")))
    task.trained = Counted(task.module)
    with pytest.raises(NonFiniteError):
        list(task.steps())
    assert task.trained.passes == 4


def broken(number: int) -> Iterator[Batch]:
    """Readers that die with their n-th batch."""
    yield from (Batch(step, list(range(IMAGES))) for step in range(number))
    raise RuntimeError("a worker was killed")


def test_readers_that_the_same_signal_killed_are_an_interruption() -> None:
    task = Task(interrupted=lambda: True)
    assert list(task.steps(batches=broken(0))) == []


def test_readers_that_die_alone_are_an_error() -> None:
    task = Task()
    with pytest.raises(RuntimeError, match="a worker was killed"):
        list(task.steps(batches=broken(1)))


# Several processes

Told = tuple[list[int], list[float], list[float]]


def _rank(rank: int, port: int, summed: bool, told: "SimpleQueue[Told]") -> None:
    take_part(rank, port)
    with start_runtime(torch.device("cpu"), "fp32") as runtime:
        read: list[Batch] = []
        # Only one of them is told to stop, in the middle of the third step.
        interrupted = lambda: rank == 1 and len(read) > 4  # noqa: E731
        task = Task((3, 4), rank=rank, read=read, interrupted=interrupted, summed=summed)
        task.trained = share_gradients(task.module)
        steps = list(task.steps(runtime=runtime))
        losses = [step.loss for step in steps]
        told.put(([step.number for step in steps], losses, task.weights().tolist()))


@pytest.mark.parametrize("summed", [False, True])
def test_processes_share_a_batch_and_stop_together(
    processes: ForkServerContext, summed: bool
) -> None:
    told: SimpleQueue[Told] = processes.SimpleQueue()
    run_pair(processes, _rank, summed, told)
    one, other = told.get(), told.get()
    assert one == other
    assert one[0] == [1, 2]

    by_hand, losses = Task(summed=summed), []
    for step in range(2):
        for group, scale in zip(by_hand.optimizer.param_groups, (0.5, 1.0), strict=True):
            group["lr"] = scale * by_hand.rate(step)
        by_hand.optimizer.zero_grad()
        total = torch.zeros(())
        number = torch.zeros(())
        for by_hand.rank in range(2):
            loss = by_hand.loss(Batch(step, list(range(IMAGES))))
            mean, weight = loss if isinstance(loss, Summed) else (loss, torch.ones(()))
            total, number = total + mean, number + weight
        total = total / number
        total.backward()
        by_hand.optimizer.step()
        losses.append(total.item())
    assert one[1] == pytest.approx(losses, rel=1e-6)
    assert one[2] == pytest.approx(by_hand.weights().tolist(), rel=1e-10)
