import numpy as np
import pytest

from fcmae.report.axes import Axis
from fcmae.report.charts import Panel, Series, axes_of, figures


def series(*values: float | None, places: tuple[float, ...] | None = None) -> tuple[Series, ...]:
    return (Series("tiled", "tiled", values, places=places),)


def labels(axis: Axis) -> list[str]:
    return [label for _, label in axis.ticks]


def test_names_stand_side_by_side() -> None:
    x, _ = axes_of(Panel("", "", ("atto", "base"), series(1, 2)), bars=False)
    assert (x.low, x.high, labels(x)) == (-0.5, 1.5, ["atto", "base"])


def test_numbers_are_to_scale_and_ticks_do_not_touch() -> None:
    panel = Panel("", "", (1.0, 2.0, 100.0), series(1, 2, 3))
    x, _ = axes_of(panel, bars=False)
    assert (x.low, x.high, labels(x)) == (1, 100, ["1", "100"])
    x, _ = axes_of(panel, bars=True)
    assert labels(x) == ["1", "2", "100"]  # bars stand side by side


def test_the_axis_reaches_places_that_only_a_curve_has() -> None:
    panel = Panel("", "", (0.0, 1.0), series(1, 2, places=(0.0, 2.0)))
    assert axes_of(panel, bars=False)[0].high == 2


def test_of_many_places_a_few_have_a_tick() -> None:
    for places in (tuple(i / 50 for i in range(100)), tuple(map(str, range(100)))):
        x, y = axes_of(Panel("", "", places, series(*range(1, 101))), bars=False)
        assert 4 <= len(x.ticks) <= 8
        assert not y.log


@pytest.mark.parametrize(
    ("values", "from_zero", "bars", "low", "log"),
    [
        ((80, 82), True, False, 0, False),
        ((80, 82), False, False, 80, False),
        ((-1, 2), True, False, -1, False),
        ((1, 100), True, False, 1, True),
        ((1, 100), False, False, 0, False),
        ((1, 100), True, True, 0, False),
        ((80, 82), False, True, 0, False),
        ((-3, -1), True, True, -3, False),
        ((None, None), True, False, 0, False),
    ],
)
def test_an_axis_starts_at_zero_unless_it_is_free_or_its_range_is_wide(
    values, from_zero: bool, bars: bool, low: float, log: bool
) -> None:
    panel = Panel("", "", (1.0, 2.0), series(*values), from_zero)
    _, y = axes_of(panel, bars=bars)
    assert (y.low, y.log) == (low, log)
    known = [value for value in values if value is not None]
    position = y.position(np.array(known, dtype=float))
    assert ((position >= 0) & (position <= 1)).all()


def test_what_is_around_a_value_is_within_the_axis() -> None:
    spread = Series("tiled", "", (80.0, 82.0, None), (3.0, 4.0, 9.0))
    _, y = axes_of(Panel("", "", (1.0, 2.0, 3.0), (spread,), from_zero=False), bars=False)
    assert y.low <= 77
    assert 86 <= y.high < 91


@pytest.mark.parametrize(
    ("value", "text"), [(0.4521, "0.452"), (12.345, "12.3"), (1914.2, "1,914")]
)
def test_figures_are_read_at_a_glance(value: float, text: str) -> None:
    assert figures(value) == text
