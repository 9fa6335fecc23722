"""One rule: zero is outside the 95 % interval, by Student's t or by the normal distribution."""

import math

import pytest

from fcmae.report.verdict import (
    NOT_REPRODUCED,
    REPRODUCED,
    UNDECIDED,
    Difference,
    quantile,
    verdict,
)


@pytest.mark.parametrize(
    ("freedom", "printed"), [(1, 12.706), (2, 4.303), (10, 2.228), (1000, 1.962), (None, 2.0)]
)
def test_the_intervals_are_those_of_the_printed_tables(freedom: int | None, printed: float) -> None:
    assert quantile(freedom) == pytest.approx(printed, abs=5e-4)


@pytest.mark.parametrize(
    ("value", "error", "freedom", "above"),
    [
        (4.4, 1.0, 2, True),
        (-4.4, 1.0, 2, False),
        (4.2, 1.0, 2, None),
        (2.01, 1.0, None, True),
        (-2.01, 1.0, None, False),
        (2.0, 1.0, None, None),  # on the edge nothing is told
        (0.0, 0.0, None, None),
        (0.1, 0.0, None, True),
        (9.0, math.nan, 0, None),
        (9.0, math.nan, 3, None),
    ],
)
def test_a_difference_counts_beyond_its_interval(
    value: float, error: float, freedom: int | None, above: bool | None
) -> None:
    assert Difference(value, error, freedom).above is above


@pytest.mark.parametrize(
    ("holds", "word"),
    [
        ([True, True], REPRODUCED),
        ([True, None], UNDECIDED),
        ([None], UNDECIDED),
        ([True, None, False], NOT_REPRODUCED),
    ],
)
def test_a_statement_is_all_of_its_parts(holds: list[bool | None], word: str) -> None:
    assert verdict(holds) == word
