"""When a difference counts, and what a statement of the paper comes to: one rule for all of it.

A difference counts where zero is outside its 95 % interval: where it is more than q standard
errors. q is the 97.5 % point of Student's t with the degrees of freedom that the error was
estimated with (Student, "The probable error of a mean", Biometrika 1908): 4.3 with 2 of them, 2.2
with 10. Where the error is that of many images, as of proportions, q is 2, the normal
distribution's 1.96 as it is usually rounded (Fisher, "Statistical Methods for Research Workers",
1925). Anything less, and anything of which no error is known, is not decidable.

How the error is estimated is a matter of the design, and so of those who compare.
"""

from collections.abc import Iterable
from dataclasses import dataclass

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
UNDECIDED = "not decidable at this scale"

NORMAL = 2.0  # standard errors on either side of the mean


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two things that were measured.

    Attributes:
        value: the first less the second.
        error: its standard error.
        freedom: degrees of freedom of the error; None where it is of many observations.
    """

    value: float
    error: float
    freedom: int | None = None

    @property
    def above(self) -> bool | None:
        """Whether the first is above the second; None where that cannot be told."""
        if self.freedom == 0 or not abs(self.value) > quantile(self.freedom) * self.error:
            return None
        return self.value > 0


def quantile(freedom: int | None) -> float:
    """The standard errors on either side of a 95 % interval."""
    if freedom is None:
        return NORMAL
    from scipy.stats import t  # takes half a second to import

    return float(t.ppf(0.975, freedom))


def verdict(holds: Iterable[bool | None]) -> str:
    """What a statement comes to, of which each part holds, is the other way round, or neither.

    Reproduced: all of it holds. Not reproduced: a part is the other way round. Else undecided.
    """
    found = set(holds)
    if False in found:
        return NOT_REPRODUCED
    return UNDECIDED if None in found else REPRODUCED
