import numpy as np
import pytest

from fcmae.report.axes import linear_axis, log_axis


def test_ticks_are_round_and_hold_the_data() -> None:
    axis = linear_axis(0.62, 1.02, 5)
    assert [label for _, label in axis.ticks] == ["0.6", "0.7", "0.8", "0.9", "1.0", "1.1"]
    assert axis.low <= 0.62
    assert axis.high >= 1.02


def test_an_end_on_a_tick_adds_none() -> None:
    assert linear_axis(0, 0.3, 3).high == pytest.approx(0.3)


@pytest.mark.parametrize("value", [0.0, 0.7, -2.0, 1e-9])
def test_a_single_value_has_an_axis(value: float) -> None:
    axis = linear_axis(value, value, 4)
    assert axis.low < axis.high
    assert 0 <= axis.position(np.array([value]))[0] <= 1


def test_an_exact_axis_ends_where_it_is_told() -> None:
    axis = linear_axis(0, 124, 6, exact=True)
    assert (axis.low, axis.high) == (0, 124)
    assert [value for value, _ in axis.ticks] == [0, 50, 100]


@pytest.mark.parametrize(("low", "high"), [(0.7, 9.0), (0.02, 3e5), (1e-9, 1e9), (1.0, 10.0)])
def test_a_log_axis_holds_its_data_with_few_ticks(low: float, high: float) -> None:
    axis = log_axis(low, high, 6)
    assert 2 <= len(axis.ticks) <= 8
    places = axis.position(np.array([low, (low * high) ** 0.5, high]))
    assert ((places > -1e-9) & (places < 1 + 1e-9)).all()
    assert (np.diff(places) > 0).all()
