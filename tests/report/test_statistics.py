import math

import numpy as np
import pytest

from fcmae.report.statistics import (
    finite,
    highest,
    interval,
    mean,
    median,
    running_mean,
    smooth,
    thin,
)


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


def test_what_is_not_a_number_is_not_counted() -> None:
    values = np.array([np.nan, 1.0, 2.0, np.inf, 6.0])
    assert (mean(values), median(values), highest(values)) == (3, 2, 6)
    nothing = values[:1]
    assert math.isnan(mean(nothing))
    assert math.isnan(median(nothing))
    assert highest(nothing) == 0


@pytest.mark.parametrize(("right", "images"), [(17, 20), (1, 13), (450, 500), (25_000, 50_000)])
def test_the_ends_of_the_interval_are_where_the_share_is_two_deviations_off(
    right: int, images: int
) -> None:
    share = right / images
    for end in interval(share, images):
        deviation = math.sqrt(end * (1 - end) / images)
        assert abs(share - end) / deviation == pytest.approx(1.96, abs=1e-3)


def test_the_interval_is_as_published() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I, method 3
    for right, images, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert interval(right / images, images) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("images", [1, 1000])
def test_all_or_none_right_is_not_certain(share: float, images: int) -> None:
    low, high = interval(share, images)
    assert 0 <= low < high <= 1
