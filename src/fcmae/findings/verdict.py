"""What statements come to: in `fcmae.report.verdict`."""

from fcmae.report.verdict import (
    NOT_REPRODUCED,
    REPRODUCED,
    UNDECIDED,
    Difference,
    quantile,
    verdict,
)

__all__ = ["NOT_REPRODUCED", "REPRODUCED", "UNDECIDED", "Difference", "quantile", "verdict"]
