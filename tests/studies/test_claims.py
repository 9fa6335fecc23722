import math
import statistics

import numpy as np
import pytest
from scipy.stats import ttest_rel

from fcmae.report.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from fcmae.studies.claims import Claim, Values, above, difference, sentence

A, B = (70.0, 71.0, 75.0, 69.0), (60.0, 62.5, 64.0, 60.5)


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_of_two_settings_it_is_the_paired_test() -> None:
    found = difference({"a": seeds(*A), "b": seeds(*B)}, "a", "b")
    theirs = ttest_rel(A, B)
    assert found is not None
    assert found.value / found.error == pytest.approx(theirs.statistic)
    assert found.freedom == theirs.df == 3


def test_what_a_seed_does_to_all_settings_is_no_error() -> None:
    """The error is that of the interaction of settings and seeds, in a table without gaps."""
    table = {"a": A, "b": B, "c": (55.0, 58.0, 57.0, 55.5)}
    moves = (0.0, 30.0, -20.0, 4.0)
    moved = {
        name: seeds(*(value + move for value, move in zip(values, moves, strict=True)))
        for name, values in table.items()
    }
    means = {name: statistics.mean(values) for name, values in table.items()}
    columns = [statistics.mean(column) for column in zip(*table.values(), strict=True)]
    overall = statistics.mean(columns)
    left = [
        value - means[name] - column + overall
        for name, values in table.items()
        for value, column in zip(values, columns, strict=True)
    ]
    error = math.sqrt(sum(one**2 for one in left) / 6) * math.sqrt(2 / 4)
    for values in (moved, {name: seeds(*values) for name, values in table.items()}):
        found = difference(values, "a", "c")
        assert found is not None
        assert found.value == pytest.approx(means["a"] - means["c"])
        assert found.error == pytest.approx(error)
        assert found.freedom == 6


def test_a_seed_that_a_setting_lacks_does_not_count_against_it() -> None:
    values: Values = {"a": {0: 10.0, 1: 31.0}, "b": {0: 9.0, 1: 29.0}, "c": {0: 5.0}}
    found = difference(values, "a", "c")
    assert found is not None
    assert found.value == pytest.approx(5.25)  # seed 0 is a quarter lower for a than a's level
    assert found.freedom == 1


def test_a_difference_counts_beyond_its_interval() -> None:
    values = {"a": seeds(*A), "b": seeds(*B), "c": seeds(70.5, 70.0, 75.5, 69.5)}
    claim = above(values, "a", "b")
    found = difference(values, "a", "b")
    assert found is not None
    assert claim == Claim(f"a above b by 9.5 ± {found.error:.1g} points", True)
    assert above(values, "b", "a").holds is False
    assert above(values, "a", "c").holds is None


@pytest.mark.parametrize("share", [0.999, 1.001])
def test_the_limit_is_students(share: float) -> None:
    limit = 4.3027 * math.sqrt(4 / 3) * share  # 97.5 % of t, two degrees; the error of a mean of 3
    pair = {"a": seeds(limit - 2, limit, limit + 2), "b": seeds(0.0, 0.0, 0.0)}
    assert above(pair, "a", "b").holds is (True if share > 1 else None)


def test_what_was_not_measured_cannot_be_told() -> None:
    values: Values = {"a": {0: 70.0}, "b": {1: 60.0}, "none": {}}
    assert above(values, "a", "none") == Claim("a above none, not measured", None)
    assert above(values, "z", "a") == Claim("z above a, not measured", None)
    assert above(values, "a", "b") == Claim("a above b, no seed in common", None)
    alone = above({"a": {0: 2.0}, "b": {0: 1.0}}, "a", "b", unit=" points")
    assert alone == Claim("a above b by 1 points, too few seeds", None)


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ([True, True], REPRODUCED),
        ([True, None], UNDECIDED),
        ([None, False], NOT_REPRODUCED),
        ([True, False], NOT_REPRODUCED),
    ],
)
def test_one_word_says_how_all_claims_came_out(found: list[bool | None], word: str) -> None:
    claims = [Claim(f"claim {number}", holds) for number, holds in enumerate(found)]
    said = sentence("Figure 3", claims)
    assert said.startswith(f"Figure 3 is {word}: claim 0 (")
    assert said.count(";") == 1


@pytest.mark.parametrize("last_digits", [-1e-14, 0, 1e-14])
def test_a_tie_is_rounded_alike_on_every_machine(
    last_digits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = np.linalg.pinv
    monkeypatch.setattr(np.linalg, "pinv", lambda levels: exact(levels) * (1 + last_digits))
    values = {"a": seeds(20.75, 25.75, 23.5), "b": seeds(15.0, 18.5, 17.75)}
    assert above(values, "a", "b").text.startswith("a above b by 6.2 ± ")  # 6.25
