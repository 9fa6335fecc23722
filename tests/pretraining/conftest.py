"""Run folders for pages."""

from run_folders import finetuned_run, full_run, make_run

__all__ = ["finetuned_run", "full_run", "make_run"]
