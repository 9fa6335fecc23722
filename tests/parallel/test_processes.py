"""What processes exchange; alone, each gets back what it gave."""

from multiprocessing.context import ForkServerContext
from multiprocessing.queues import SimpleQueue

import pytest
import torch
from torch import Tensor, nn
from two_processes import run_pair, take_part

from fcmae.parallel.processes import (
    add_up,
    exchange,
    gather,
    gather_rows,
    is_first,
    join,
    leave,
    mean_over_processes,
    num_processes,
    rank,
    share_gradients,
)

CPU = torch.device("cpu")
Told = tuple[tuple[int, int], list[float], list[str], list[list[float]], list[float], list[float]]


def test_alone_nothing_is_exchanged() -> None:
    assert join(CPU) == (0, 1)
    assert (rank(), num_processes(), is_first()) == (0, 1, True)
    values, module = torch.arange(3.0), nn.Linear(2, 1)
    assert add_up(values) is values
    assert gather("a") == ["a"]
    assert gather_rows(values) is values
    assert mean_over_processes(values) is values
    assert share_gradients(module) is module
    with exchange(module, now=False):
        pass
    leave()


def _exchange(number: int, port: int, told: "SimpleQueue[Told]") -> None:
    take_part(number, port)
    assert rank() == 0  # they have not met
    met = join(CPU)
    assert (rank(), num_processes(), is_first()) == (number, 2, number == 0)
    own = torch.tensor([1.0 + number, 10.0])
    summed = add_up(own.clone()).tolist()
    x = own.clone().requires_grad_()
    # Each process has a loss of its own of the mean that they share.
    ((1 + number) * mean_over_processes(x).square().sum()).backward()
    assert isinstance(x.grad, Tensor)
    module = share_gradients(nn.Linear(2, 1, bias=False))
    for now in (False, True):  # the first stays at home until the second
        with exchange(module, now=now):
            module(own).sum().backward()
    weight = next(module.parameters()).grad
    assert isinstance(weight, Tensor)
    rows = gather_rows(own[None]).tolist()
    told.put((met, summed, gather("ab"[number]), rows, x.grad.tolist(), weight[0].tolist()))
    leave()


def test_two_processes_exchange_what_each_has(processes: ForkServerContext) -> None:
    told: SimpleQueue[Told] = processes.SimpleQueue()
    run_pair(processes, _exchange, told)
    found = sorted([told.get(), told.get()])
    assert [each[0] for each in found] == [(0, 2), (1, 2)]
    for _, summed, names, rows, gradient, weight in found:
        assert summed == [3, 20]
        assert names == ["a", "b"]
        assert rows == [[1, 10], [2, 10]]
        # d/dx of (1 + 2) m^2 with m = (1.5, 10), of which half is each process's x.
        assert gradient == pytest.approx([3 * 2 * 1.5 / 2, 3 * 2 * 10 / 2])
        assert weight == pytest.approx([2 * 1.5, 2 * 10])  # twice the mean of both
