"""Figures of findings: in `fcmae.report.charts` and `fcmae.report.files`."""

from fcmae.report.charts import INK, LOOKS, PAPER, Panel, Series
from fcmae.report.files import DOTS, WIDTH, draw, save

__all__ = ["DOTS", "INK", "LOOKS", "PAPER", "WIDTH", "Panel", "Series", "draw", "save"]
