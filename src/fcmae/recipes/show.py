"""`fcmae recipe show`: the paper's tables, or a size's column, and what they leave out."""

import textwrap

from fcmae.errors import unknown
from fcmae.recipes.lookup import column_of, finetune_table, stage_tables
from fcmae.recipes.pretrain import TABLE_1
from fcmae.recipes.sections import Section, settings_section, table_section
from fcmae.recipes.unstated import FINETUNING, PRETRAINING

WIDTH = 100
V1 = "V1 models take the column of the V2 model of their size: V1's own recipe is another paper's."


def show_recipe(task: str, size: str | None = None, stage: str | None = None) -> str:
    """A recipe of the paper as text, with what its tables leave out.

    Args:
        task: "pretrain" (Table 1) or "finetune" (Tables 2-6).
        size: one size's column only: "base", "B" or a model's name. Without it, whole tables.
        stage: of fine-tuning: "1k", the default, "22k" or "22k-to-1k".

    Raises:
        ValueError: for an unknown task, size or stage, a stage of pre-training, and a size without
            a column at the stage.
    """
    if task == "pretrain":
        sections = _pretrain(size, stage)
    elif task == "finetune":
        sections = _finetune(size, "1k" if stage is None else stage)
    else:
        raise unknown("recipe", task, ("pretrain", "finetune"))
    return "\n".join(_text(section) for section in sections)


def _pretrain(size: str | None, stage: str | None) -> list[Section]:
    if stage is not None:
        raise ValueError(f"stage {stage!r}: only finetune has stages; leave it out")
    if size is not None:
        column_of(size)  # the one column is every size's, but the name may be wrong
    return [
        table_section(TABLE_1),
        settings_section("What Table 1 leaves out", PRETRAINING),
    ]


def _finetune(size: str | None, stage: str) -> list[Section]:
    if size is None:
        letter = None
        tables = [table_section(table) for table in stage_tables(stage)]
    else:
        table, letter = finetune_table(size, stage)
        tables = [table_section(table, letter)]
    left_out = settings_section("What Tables 2-6 leave out", FINETUNING, letter)
    left_out.notes.append(V1)
    return [*tables, left_out]


def _text(section: Section) -> str:
    first, second = (max(len(row[column]) for row in section.rows) for column in (0, 1))
    lines = [section.title, ""]
    for name, value, *source in section.rows:
        head = f"  {name:<{first}}  {value:<{second}}  "
        words = textwrap.wrap("".join(source), WIDTH - len(head)) or [""]
        lines.append((head + words[0]).rstrip())
        lines.extend(" " * len(head) + more for more in words[1:])
    for i, note in enumerate(section.notes):
        lines.extend(["", *_note(note)] if i == 0 else _note(note))
    return "\n".join(lines) + "\n"


def _note(note: str) -> list[str]:
    return textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="      ")
