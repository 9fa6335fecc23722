"""What was measured on: in `fcmae.report.record`."""

from fcmae.report.record import describe_machine, describe_run, processor
from fcmae.storage.versions import version

__all__ = ["describe_machine", "describe_run", "processor", "version"]
