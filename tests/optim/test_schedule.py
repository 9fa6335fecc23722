import math

import pytest

from fcmae.optim import learning_rate, scaled_learning_rate
from fcmae.recipes import TABLE_1


def test_the_rate_grows_with_the_batch() -> None:
    recipe = TABLE_1["A"]
    assert scaled_learning_rate(recipe.base_learning_rate, recipe.batch_size) == pytest.approx(
        2.4e-3
    )
    assert scaled_learning_rate(1.5e-4, 256) == 1.5e-4
    assert scaled_learning_rate(1.5e-4, 64) == pytest.approx(1.5e-4 / 4)


def test_warm_up_is_a_straight_line_from_zero_to_the_peak() -> None:
    rates = [learning_rate(step, peak=0.8, steps=100, warmup_steps=8) for step in range(9)]
    assert rates == pytest.approx([0.1 * step for step in range(9)])


def test_then_half_a_cosine_to_the_minimum() -> None:
    def rate(step: int) -> float:
        return learning_rate(step, peak=0.8, steps=108, warmup_steps=8, minimum=0.2)

    assert rate(8) == 0.8
    assert rate(33) == pytest.approx(0.5 + 0.3 * math.cos(math.pi / 4))
    assert rate(58) == pytest.approx(0.5)
    assert rate(83) == pytest.approx(0.5 - 0.3 * math.cos(math.pi / 4))
    assert 0.2 < rate(107) < 0.2002
    assert rate(108) == pytest.approx(0.2)
    assert all(rate(step) > rate(step + 1) for step in range(8, 108))


def test_without_warm_up_the_peak_comes_first() -> None:
    assert learning_rate(0, peak=0.3, steps=7, warmup_steps=0) == 0.3


def test_a_run_that_is_all_warm_up_never_divides_by_zero() -> None:
    rates = [learning_rate(step, peak=1.0, steps=4, warmup_steps=4) for step in range(5)]
    assert rates == [0, 0.25, 0.5, 0.75, 1]
