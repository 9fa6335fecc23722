"""The page of a study: its verdict, figure and table, and how it was done."""

from collections.abc import Mapping, Sequence
from typing import Any

from fcmae.console.units import percent
from fcmae.report.charts import Chart
from fcmae.report.findings import Finding, Section, Table, write_finding
from fcmae.report.record import Record
from fcmae.studies.claims import RULE, sentence
from fcmae.studies.results import Results, Row
from fcmae.studies.study import Study


def write(study: Study, record: Record) -> None:
    """Write the figure and the page of all rows so far."""
    folder, scale = record.path.parent, record.run["settings"]
    results = results_of(study, record.rows, scale)
    finding = Finding(
        kind=study.kind,
        title=study.title,
        shows=findings(study, results),
        figure=Chart([study.panels(results)], study.bars),
        alternative=study.alternative,
        reading=[text.format(**scale) for text in study.reading],
        table=table(study, results),
    )
    done = Section("How it was done", (trained_in_words(results), RULE))
    write_finding(folder, finding, record.run, [done])


def results_of(study: Study, rows: Sequence[Row], scale: Mapping[str, Any]) -> Results:
    """Rows under the labels that they have on the page, and in their order."""
    return Results([row | {"name": study.label(row)} for row in rows], scale, study.order)


def findings(study: Study, results: Results) -> list[str]:
    """The verdict, what the paper found, and what else was found here."""
    verdict = sentence(study.subject, study.claims(results))
    remark = study.remark(results)
    return [verdict, study.paper, *([remark] if remark else [])]


def table(study: Study, results: Results) -> Table:
    """A row for each setting."""
    heading = [*(title for title, _ in study.columns), ""]
    cells = [
        [*(cell(results, label) for _, cell in study.columns), results.failures(label)]
        for label in results.by_name()
    ]
    return Table(heading, cells, study.caption)


def trained_in_words(results: Results) -> str:
    """What was trained on what."""
    rows, scale = results.rows, results.scale
    images, val = scale["images"]
    side = scale["image_size"]
    models = ", ".join(dict.fromkeys(str(row["model"]) for row in rows))
    words = (
        f"Scale “{scale['scale']}”: {models} at {side} x {side} pixels, stem stride "
        f"{scale['stem_stride']}; {scale['pretraining_epochs']} epochs of pre-training on "
        f"{images:,} images"
    )
    if not any("accuracy" in row for row in rows):
        return f"{words}."
    epochs = scale["finetuning_epochs"] or "the table’s"
    return (
        f"{words}, then {epochs} epochs of fine-tuning on {percent(scale['label_share'])} of their "
        f"labels, {scale['classes']} classes. Accuracy is that of the best epoch on {val:,} images "
        "of val, as the authors have it."
    )
