import itertools
from functools import partial

import pytest
import torch

from fcmae.benchmarks import measuring
from fcmae.benchmarks.measuring import (
    Probe,
    Rate,
    images_per_second,
    is_lack_of_memory,
    memory_can_be_counted,
    peak_memory,
    seconds_of,
    speedup,
    speedups,
    take_turns,
)
from fcmae.training.devices import Runtime

CPU = Runtime(torch.device("cpu"), "fp32")


def test_what_a_call_takes_is_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: now[-1])
    assert seconds_of(lambda: now.append(7.5), Runtime(torch.device("cpu"), "fp32")) == 2.5


def test_ratios_are_within_rounds() -> None:
    seconds = {"slow": [2.0, 9.0], "fast": [1.0, 3.0]}
    assert speedup(*seconds.values()) == {"speedup": 2.5, "speedup_range": [2.0, 3.0]}
    assert speedups(seconds, [("fast", "slow")]) == {
        "speedup": {"fast / slow": 2.5}, "speedup_range": {"fast / slow": [2.0, 3.0]}
    }  # fmt: skip
    assert images_per_second(seconds, 3) == {"slow": 3 / 5.5, "fast": 1.5}


def test_ways_take_turns_and_get_what_is_drawn() -> None:
    called: list[tuple[str, int]] = []
    ways = {way: partial(lambda way, drawn: called.append((way, drawn)), way) for way in "ab"}
    probe = Probe({"c": (1.0, lambda: called.append(("c", 0)))}, CPU)
    seconds = take_turns(ways, CPU, 2, itertools.count(7).__next__, rates=[probe])
    assert {way: len(values) for way, values in seconds.items()} == {"a": 2, "b": 2}
    first = [("c", 0), ("a", 7), ("b", 7)]  # a probe's first call, and a round that warms up
    assert called == [*first, ("a", 8), ("b", 8), ("c", 0), ("a", 9), ("b", 9), ("c", 0)]


def test_peak_counts_what_is_freed_before_the_end() -> None:
    if not memory_can_be_counted():
        pytest.skip("memory of a process can be measured on Linux with glibc only")

    def call() -> None:
        torch.ones(16, 1024, 1024)  # 64 MiB, freed at once
        torch.ones(8, 1024, 1024)

    assert 60 << 20 < peak_memory(call, torch.device("cpu")) < 72 << 20


def test_other_mistakes_are_not_taken_for_a_lack_of_memory() -> None:
    assert is_lack_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_lack_of_memory(MemoryError())
    assert not is_lack_of_memory(RuntimeError("shapes differ"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_fastest_product_counts(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(measuring.SIDES, "cpu", (48, 96))
    probe = measuring.matrix_products(Runtime(CPU.device, precision))
    assert {"torch.mm, 48", "torch.mm, 96"} <= set(probe.candidates)
    for _ in range(3):
        probe.take_turn()
    best = probe.fastest()
    assert len(best.seconds) == 3
    assert best.amount == 2 * int(best.what.split()[-1]) ** 3
    assert best.per_second == max(
        amount / sorted(probe.seconds[name])[1] for name, (amount, _) in probe.candidates.items()
    )


def test_both_libraries_compute_the_same_amount() -> None:
    a, b = torch.randn(2, 24, 24)
    call = measuring._onednn(a, b)
    if call is None:
        pytest.skip("this torch has no oneDNN")
    torch.testing.assert_close(call(), a @ b.T)


def test_traffic_counts_what_is_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(measuring.BYTES, "cpu", 4096)
    probe = measuring.memory_traffic(CPU)
    probe.take_turn()
    assert probe.fastest().amount == 8192


def test_shares_are_of_the_same_round() -> None:
    rate = Rate("product", amount=100.0, seconds=[1.0, 2.0, 4.0])
    assert rate.per_second == 50
    assert rate.share(50.0, [1.0, 1.0, 1.0]) == 1.0


def test_each_candidate_is_called_once_a_turn_and_once_before() -> None:
    calls: list[str] = []
    probe = Probe({"a": (1.0, lambda: calls.append("a"))}, CPU)
    probe.take_turn()
    probe.take_turn()
    assert calls == ["a"] * 3
