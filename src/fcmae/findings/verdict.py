"""What statements come to: in `fcmae.report.findings`."""

from fcmae.report.findings import NOT_REPRODUCED, REPRODUCED, UNDECIDED

__all__ = ["NOT_REPRODUCED", "REPRODUCED", "UNDECIDED"]
