import numpy as np
import pytest

from fcmae.report.curves import finite, running_mean, smooth, thin


@pytest.mark.parametrize("spike", [0, 7, 123_456, 499_998, 499_999])
def test_thinning_keeps_a_spike_of_one_step(spike: int) -> None:
    x = np.arange(500_000, dtype=np.float64)
    y = np.sin(x / 5e4)
    y[spike] = 40.0
    thin_x, thin_y = thin(x, y, 300)
    assert len(thin_x) <= 600
    assert thin_y.max() == 40.0
    assert thin_x[thin_y.argmax()] == spike


def test_thinning_keeps_the_lowest_value_both_ends_and_the_order() -> None:
    generator = np.random.default_rng(0)
    x, y = np.arange(10_001.0), generator.standard_normal(10_001)
    thin_x, thin_y = thin(x, y, 50)
    assert thin_y.min() == y.min()
    assert (thin_x[0], thin_x[-1]) == (0, 10_000)
    assert (np.diff(thin_x) > 0).all()


@pytest.mark.parametrize("length", [0, 1, 2, 20])
def test_a_short_curve_is_left_alone(length: int) -> None:
    x = np.arange(length, dtype=np.float64)
    thin_x, thin_y = thin(x, -x, 10)
    assert (thin_x == x).all()
    assert (thin_y == -x).all()


@pytest.mark.parametrize(("length", "window"), [(1, 5), (7, 3), (13, 4), (5, 50)])
def test_running_mean_is_the_mean_of_the_neighbours(length: int, window: int) -> None:
    values = np.random.default_rng(1).standard_normal(length)
    expected = [
        values[max(0, i - (window - 1) // 2) : i + window // 2 + 1].mean() for i in range(length)
    ]
    np.testing.assert_allclose(running_mean(values, window), expected)


def test_smoothing_calms_noise_and_keeps_the_level() -> None:
    values = 3 + np.random.default_rng(2).standard_normal(4000)
    mean = smooth(values)
    assert mean.std() < 0.2
    assert abs(mean.mean() - 3) < 0.1


def test_what_is_not_a_number_is_not_drawn() -> None:
    x, y = finite(np.arange(4.0), np.array([1.0, np.nan, np.inf, 2.0]))
    assert x.tolist() == [0, 3]
    assert y.tolist() == [1, 2]
