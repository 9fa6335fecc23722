"""`report.html`: one file per training run that opens anywhere, without a network.

The page has no script and refers to nothing outside itself; its content security policy makes the
browser hold it to that, whatever a file name or a reason in the run folder contains.
"""

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from fcmae.console import units
from fcmae.report import (
    explanations,
    figures,
    finetuning,
    key_figures,
    neighbours,
    tables,
    words,
)
from fcmae.report.read import Run, read_run

__all__ = ["write_report"]


def write_report(run: Path) -> Path:
    """Write `run/report.html` from what the run folder holds so far.

    Args:
        run: a run folder, of a finished run or of one that still goes on.

    Returns:
        the path of the report; an earlier one is replaced in one step, so that a browser never
        sees half a page.

    Raises:
        ValueError: if `run` holds no config.json.
    """
    page = _render(read_run(Path(run)))
    path = Path(run) / "report.html"
    temporary = path.with_name(f".report-{os.getpid()}.html")
    try:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _render(run: Run) -> str:
    environment = Environment(
        loader=PackageLoader("fcmae.report", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = units.count
    page, own = _finetuning(run) if run.fact("task") == "finetune" else _pretraining(run)
    return environment.get_template(page).render(
        own,
        run=run,
        words=words,
        explain=explanations,
        tables=tables,
        throughput=figures.throughput_chart(run),
    )


def _pretraining(run: Run) -> tuple[str, dict[str, object]]:
    return "contrastive.html" if words.contrastive(run) else "pretraining.html", {
        "verdict": words.verdict(run),
        "figures": key_figures.key_figures(run),
        "loss": figures.loss_chart(run),
        "diversity": figures.diversity_chart(run),
        "curve": neighbours.neighbours_chart(run),
        "neighbours": neighbours,
    }


def _finetuning(run: Run) -> tuple[str, dict[str, object]]:
    return "finetuning.html", {
        "verdict": finetuning.words.verdict(run),
        "figures": finetuning.words.figures(run),
        "learning": finetuning.figures.learning_chart(run),
        "finetuning": finetuning,
    }
