"""What a line of the timings says, and what is said of an epoch's waiting."""

import time

import pytest
import torch

from fcmae.training.devices import Place
from fcmae.training.engine import Step
from fcmae.training.timing import Timing, Waits

PLACE = Place(torch.device("cpu"), "fp32")


def step(number: int, seconds: float, waiting: float) -> Step:
    return Step(number, 0.5, 1e-4, 1.0, seconds, waiting)


def test_a_line_is_of_the_steps_since_the_line_before() -> None:
    timing, started = Timing(), time.monotonic() - 100
    for seconds, waiting in ((2.0, 1.0), (3.0, 0.5)):
        timing.add(step(2, seconds, waiting))
    line = timing.line(step(2, 3.0, 0.5), 10, started, PLACE)
    assert line["images_per_second"] == pytest.approx(2 * 10 / 5)
    assert line["waiting"] == pytest.approx(1.5 / 5)
    assert line["seconds"] == pytest.approx(100, abs=5)
    assert line["step"] == 2
    timing.add(step(3, 0.5, 0.0))
    line = timing.line(step(3, 0.5, 0.0), 10, started, PLACE)
    assert line["images_per_second"] == pytest.approx(20)
    assert line["waiting"] == 0


def test_the_share_waited_is_of_the_steps_since_it_was_asked_last() -> None:
    waits = Waits()
    for seconds, waiting in ((2.0, 1.0), (3.0, 0.5)):
        waits.add(step(2, seconds, waiting))
    assert waits.share() == pytest.approx(1.5 / 5)
    assert waits.share() == 0
    waits.add(step(3, 4.0, 1.0))
    assert waits.share() == pytest.approx(0.25)


def test_much_waiting_is_advised_upon_once() -> None:
    waits = Waits()
    assert waits.remedy(0.05, 2, "exact") is None
    said = waits.remedy(0.3, 2, "exact")
    assert said is not None
    assert "--workers (it has 2)" in said
    assert "--decoding fast" in said
    assert waits.remedy(0.3, 2, "exact") is None


def test_fast_decoding_is_not_advised_where_it_is_used() -> None:
    said = Waits().remedy(0.3, 1, "fast")
    assert said is not None
    assert "decoding" not in said
