import pytest
import torch

from fcmae.benchmarks import timing
from fcmae.benchmarks.timing import ratios, seconds_of
from fcmae.training.devices import Place


def test_what_a_call_takes_is_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[-1])
    assert seconds_of(lambda: now.append(7.5), Place(torch.device("cpu"), "fp32")) == 2.5


def test_ratios_are_within_rounds() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
