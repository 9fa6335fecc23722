"""Rows that are kept: in `fcmae.report.record`."""

from fcmae.report.record import Record, Row, as_csv, as_json, say_written, write_rows

__all__ = ["Record", "Row", "as_csv", "as_json", "say_written", "write_rows"]
