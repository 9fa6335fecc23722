import math

import pytest

from fcmae.findings.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from fcmae.studies.claims import (
    Claim,
    above,
    deviation,
    sentence,
    verdict,
)

VALUES = {"a": [70.0, 72.0], "b": [60.0, 61.0, 62.0], "c": [71.0, 70.0], "one": [10.0], "none": []}
ERROR = math.sqrt((2 + 2 + 0.5) / 4)  # squares about each mean, over what is left to vary


def test_the_spread_is_pooled_over_settings() -> None:
    assert deviation(VALUES) == (pytest.approx(ERROR), 4)
    assert deviation({"a": [1.0], "b": []})[1] == 0
    assert deviation({"a": [3.0, 3.0]}) == (0, 1)


def test_a_difference_counts_beyond_its_interval() -> None:
    claim = above(VALUES, "a", "b")
    error = ERROR * math.sqrt(1 / 2 + 1 / 3)
    assert claim.holds is True
    assert claim.text == f"a above b by 10 ± {error:.1g} points"
    assert above(VALUES, "b", "a").holds is False
    assert above(VALUES, "a", "c").holds is None  # half a point
    assert above(VALUES, "c", "one").holds is True  # its error is of the others' spread


@pytest.mark.parametrize("share", [0.999, 1.001])
def test_the_limit_is_students(share: float) -> None:
    spread = {"a": [0.0, 2.0], "b": [0.0, 2.0]}  # deviation and standard error are sqrt 2
    limit = 4.3027 * math.sqrt(2) * share  # 97.5 % of t with two degrees of freedom
    moved = spread | {"a": [value + limit for value in spread["a"]]}
    assert above(moved, "a", "b").holds is (True if share > 1 else None)


def test_what_was_not_measured_cannot_be_told() -> None:
    assert above(VALUES, "a", "none") == Claim("a above none, not measured", None)
    assert above(VALUES, "z", "a") == Claim("z above a, not measured", None)
    alone = above({"a": [2.0], "b": [1.0]}, "a", "b", unit="")
    assert alone == Claim("a above b by 1, one seed", None)


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
    assert verdict(claims) == word
    said = sentence("Figure 3", claims)
    assert said.startswith(f"Figure 3 is {word}: claim 0 (")
    assert said.count(";") == 1
