"""What a line of the timings says."""

import time

import pytest
import torch

from fcmae.devices import Place
from fcmae.engine import Step
from fcmae.tasks.timing import Timing

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
