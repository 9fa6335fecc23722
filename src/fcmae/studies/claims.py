"""Whether what the paper says is seen here too: differences of settings, and their errors.

A claim is that one thing has a higher value than another. It holds where their difference counts by
the rule of `report.verdict`, and fails where it counts the other way round. A seed draws the same
images and labels in every setting, and moves all of them: so settings are compared within seeds, as
in a randomised block design (Montgomery, Design and Analysis of Experiments, chapter 4), and the
standard error comes from what is left when each setting and each seed has its own level, since two
or three seeds of one pair say little of it. Of two settings alone it is Student's paired test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fcmae.report.verdict import Difference, verdict

RULE = (
    "A difference is given ± its standard error, and counts where zero is outside its 95 % "
    "interval (Student’s t). Settings are compared within seeds, since a seed draws the same "
    "images and labels in each: the error comes from what is left, in all settings together, when "
    "each setting and each seed has its own level. Reproduced: all that the paper says counts here "
    "too. Not reproduced: some of it counts the other way round. Otherwise, and with one seed, it "
    "is not decidable at this scale."
)

Values = Mapping[str, Mapping[int, float]]  # by name, then by seed


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
    found = difference(values, higher, lower)
    if found is None:
        return Claim(f"{text}, no seed in common", None)
    text = f"{text} by {found.value:.2g}"
    if not found.freedom:
        return Claim(f"{text}{unit}, too few seeds", None)
    text = f"{text} ± {found.error:.1g}{unit}"
    return Claim(text, found.above)


def difference(values: Values, higher: str, lower: str) -> Difference | None:
    """By a level for each setting and one for each seed; None where nothing links the two."""
    import numpy as np

    names = [name for name in values if values[name]]
    seeds = sorted({seed for found in values.values() for seed in found})
    cells = [(name, seed) for name in names for seed in values[name]]
    levels = np.array(
        [[name == one for one in names] + [seed == one for one in seeds] for name, seed in cells],
        float,
    )  # [values, settings + seeds]
    measured = np.array([values[name][seed] for name, seed in cells])
    contrast = np.array([(one == higher) - (one == lower) for one in names] + [0] * len(seeds))
    inverse = np.linalg.pinv(levels)
    if not np.allclose(contrast @ inverse @ levels, contrast):
        return None
    left = measured - levels @ (inverse @ measured)
    freedom = len(cells) - int(np.linalg.matrix_rank(levels))
    deviation = np.sqrt(left @ left / freedom) if freedom else np.nan
    weights = contrast @ inverse
    value, error = weights @ measured, deviation * np.linalg.norm(weights)
    # The last digits are the machine's, and a tie such as 6.25 would be printed as they fall.
    return Difference(float(f"{value:.12g}"), float(f"{error:.12g}"), freedom)


def sentence(subject: str, claims: Sequence[Claim]) -> str:
    """The comparison in one sentence: "Figure 3 is reproduced: 0.6 above 0.1 by 2 ± 0.5 ..."."""
    word = verdict(claim.holds for claim in claims)
    return f"{subject} is {word}: {'; '.join(map(str, claims))}."
