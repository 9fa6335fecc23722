"""What can go wrong in probes without any error."""

from mutants.mistake import Mistake

MISTAKES = (
    Mistake(
        file="probes/knn.py",
        words="TEMPERATURE = 0.07",
        replacement="TEMPERATURE = 0.7",
        meaning="Near neighbours have hardly more weight than far ones.",
        tests=("tests/probes/test_knn.py",),
    ),
)
