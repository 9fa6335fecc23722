"""Pages of findings: in `fcmae.report.findings`."""

from fcmae.report.findings import Finding, Page, Section, Table, write_finding, write_page

__all__ = ["Finding", "Page", "Section", "Table", "write_finding", "write_page"]
