"""What some steps come to, and what is said of their waiting."""

import pytest

from fcmae.training.engine import Step
from fcmae.training.window import Window, remedy


def step(loss: float, seconds: float, waiting: float) -> Step:
    return Step(2, loss, 1e-4, 1.0, seconds, waiting)


def test_a_window_is_of_its_steps() -> None:
    window = Window()
    assert window.waited == 0
    for loss, seconds, waiting in ((0.5, 2.0, 1.0), (1.0, 3.0, 0.5)):
        window.add(step(loss, seconds, waiting))
    assert window.images_per_second(10) == pytest.approx(2 * 10 / 5)
    assert window.waited == pytest.approx(1.5 / 5)
    assert window.mean_loss == pytest.approx(0.75)


def test_of_a_run_that_goes_on_the_loss_is_of_all_steps_and_the_time_of_its_own() -> None:
    window = Window(*Window(3.0, 2).state())
    window.add(step(1.5, 0.5, 0.0))
    assert window.state() == (4.5, 3)
    assert window.mean_loss == pytest.approx(1.5)
    assert window.images_per_second(10) == pytest.approx(20)


def test_much_waiting_is_advised_upon() -> None:
    assert remedy(0.05, 2, "exact") is None
    said = remedy(0.3, 2, "exact")
    assert said is not None
    assert "--workers (it has 2)" in said
    assert "--decoding fast" in said


def test_fast_decoding_is_not_advised_where_it_is_used() -> None:
    said = remedy(0.3, 1, "fast")
    assert said is not None
    assert "decoding" not in said
