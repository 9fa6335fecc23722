"""Pages that open anywhere: `report.html` of a run, and what studies and analyses found."""

import importlib
from collections.abc import Callable
from pathlib import Path

from fcmae.errors import unknown
from fcmae.report.run import Run, read_run
from fcmae.storage.atomic import write_text

__all__ = ["write_report"]

# Which function writes the page, as "module:function", by the task in a run's config.json.
PAGES = {"pretrain": "fcmae.pretraining.page:page", "finetune": "fcmae.finetuning.page:page"}


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder, from what it holds so far.

    Args:
        folder: of a finished run or of one that still goes on.

    Returns:
        the path of the report; an earlier one is replaced in one step, so that a browser never
        sees half a page.

    Raises:
        ValueError: if `folder` holds no config.json, or one of a task that is not known.
    """
    run = read_run(Path(folder))
    task = str(run.fact("task") or "pretrain")  # the first runs did not say
    if task not in PAGES:
        raise unknown(f"task in {run.folder / 'config.json'}", task, PAGES)
    module, _, name = PAGES[task].partition(":")
    page: Callable[[Run], str] = getattr(importlib.import_module(module), name)
    path = run.folder / "report.html"
    write_text(path, page(run))
    return path
