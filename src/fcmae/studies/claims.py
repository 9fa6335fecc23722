"""Whether what the paper says is seen here too, by one rule for every study.

A claim is that one thing has a higher value than another. It holds where zero is outside the 95 %
interval of the difference of the means over seeds, by Student's t, and fails where it is so the
other way round. The standard error comes from the spread over seeds within each setting, pooled
over all of them, since two or three seeds of one setting say little of it. Without a second seed
there is none.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fcmae.findings.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED

RULE = (
    "A difference is given ± its standard error, and counts where zero is outside its 95 % "
    "interval (Student’s t). The standard error comes from the spread over seeds within each "
    "setting, pooled over all of them. Reproduced: all that the paper says counts here too. Not "
    "reproduced: some of it counts the other way round. Otherwise, and with one seed, it is not "
    "decidable at this scale."
)

Values = Mapping[str, Sequence[float]]  # by name, one a seed


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that the paper says, and whether it holds here; None where that cannot be told."""

    text: str
    holds: bool | None

    def __str__(self) -> str:
        return f"{self.text} ({ANSWERS[self.holds]})"


ANSWERS = {True: "holds", False: "the other way round", None: "cannot be told"}


def above(values: Values, higher: str, lower: str, *, unit: str = " points") -> Claim:
    """That `higher` is above `lower`.

    Args:
        values: of all settings; those of the two may be missing.
        higher: a name.
        lower: another.
        unit: of the values, for the text, with its space.
    """
    text = f"{higher} above {lower}"
    if not (values.get(higher) and values.get(lower)):
        return Claim(f"{text}, not measured", None)
    difference = statistics.mean(values[higher]) - statistics.mean(values[lower])
    spread, freedom = deviation(values)
    if not freedom:
        return Claim(f"{text} by {difference:.2g}{unit}, one seed", None)
    error = spread * math.sqrt(sum(1 / len(values[name]) for name in (higher, lower)))
    text = f"{text} by {difference:.2g} ± {error:.1g}{unit}"
    return Claim(text, difference > 0 if is_clear(difference, error, freedom) else None)


def is_clear(difference: float, error: float, freedom: int) -> bool:
    """Whether zero is outside the 95 % interval of a difference.

    Args:
        difference: of means.
        error: its standard error.
        freedom: degrees of freedom that this was measured with, 1 or more.
    """
    from scipy.stats import t  # takes half a second to import

    return abs(difference) > error * float(t.ppf(0.975, freedom))


def deviation(values: Values) -> tuple[float, int]:
    """The standard deviation over seeds, pooled over settings, and its degrees of freedom."""
    freedom = sum(len(each) - 1 for each in values.values() if each)
    if freedom == 0:
        return math.nan, 0
    squares = sum(
        statistics.variance(each) * (len(each) - 1) for each in values.values() if each[1:]
    )
    return math.sqrt(squares / freedom), freedom


def verdict(claims: Sequence[Claim]) -> str:
    """One of the three words."""
    found = {claim.holds for claim in claims}
    if False in found:
        return NOT_REPRODUCED
    return UNDECIDED if None in found else REPRODUCED


def sentence(subject: str, claims: Sequence[Claim]) -> str:
    """The comparison in one sentence: "Figure 3 is reproduced: 0.6 above 0.1 by 2 ± 0.5 ..."."""
    return f"{subject} is {verdict(claims)}: {'; '.join(map(str, claims))}."
