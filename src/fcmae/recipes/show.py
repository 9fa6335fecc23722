"""As text: the paper's tables or a size's column, what they leave out, and all sizes."""

import textwrap

from fcmae.errors import unknown
from fcmae.recipes.accuracies import TABLE_7, TABLE_8
from fcmae.recipes.lookup import column_of, finetune_table, stage_tables
from fcmae.recipes.pretrain import TABLE_1
from fcmae.recipes.sections import Section, settings_section, table_section
from fcmae.recipes.unstated import FINETUNING, PRETRAINING
from fcmae.sizes import SIZES

WIDTH = 100
GIGABYTE = 1e9
STATE = 16  # bytes a parameter in training: float32 weights, gradients, AdamW's two moments
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
        if stage is not None:
            raise ValueError(f"stage {stage!r}: only finetune has stages; leave it out")
        if size is not None:
            column_of(size)  # the one column is every size's, but the name may be wrong
        left_out = settings_section("What Table 1 leaves out", PRETRAINING)
        sections = [table_section(TABLE_1), left_out]
    elif task == "finetune":
        stage, letter = "1k" if stage is None else stage, None
        tables = stage_tables(stage)
        if size is not None:
            table, letter = finetune_table(size, stage)
            tables = (table,)
        left_out = settings_section("What Tables 2-6 leave out", FINETUNING, letter)
        left_out.notes.append(V1)
        sections = [*(table_section(table, letter) for table in tables), left_out]
    else:
        raise unknown("recipe", task, ("pretrain", "finetune"))
    return "\n".join(map(_text, sections))


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


def show_models() -> str:
    """A line for every size, with 1000 classes."""
    lines = [
        f"{'model':<20}{'depths':<14}{'width':>6}{'parameters':>12}"
        f"{'FLOPs at 224, 384, 512':>27}{'paper: 1K':>11}{'22K at 224, 384, 512':>22}"
        f"{'training':>10}"
    ]
    for name, size in SIZES.items():
        depths = ", ".join(map(str, size.depths))
        flops = "".join(f"{flops / 1e9:>8.2f}G" for flops in size.flops)
        first = _percent(TABLE_7.get(name))
        later = "  ".join(_percent(TABLE_8.get((name, pixels))) for pixels in (224, 384, 512))
        state = f"{STATE * size.parameters / GIGABYTE:.2f} GB"
        lines.append(
            f"{name:<20}{depths:<14}{size.width:>6}{size.parameters / 1e6:>11.1f}M{flops}"
            f"{first:>11}{later:>22}{state:>10}"
        )
    return "\n".join(lines) + "\n"


def _percent(value: float | None) -> str:
    return "   -" if value is None else f"{value:.1f}"
