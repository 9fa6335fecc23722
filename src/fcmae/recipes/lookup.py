"""From a model's name to its column of the paper's tables."""

from fcmae.errors import unknown
from fcmae.recipes.finetune import STAGES, Finetune
from fcmae.recipes.table import Table
from fcmae.recipes.unstated import FINETUNING
from fcmae.sizes import SIZES

COLUMNS = {
    "atto": "A",
    "femto": "F",
    "pico": "P",
    "nano": "N",
    "tiny": "T",
    "base": "B",
    "large": "L",
    "huge": "H",
}
_NAMES = (*COLUMNS, "small", "xlarge", *SIZES)


def column_of(size: str) -> str | None:
    """The letter that the tables have for a size.

    A V1 model has the letter of the V2 model of its size, since V1's own recipe is that of another
    paper; Small and XLarge, which only V1 has, are None.

    Args:
        size: "base", "B", "convnextv2_base" or "convnext_base".

    Raises:
        ValueError: for any other name; suggests the nearest.
    """
    letter = size.upper()
    if letter in COLUMNS.values():
        return letter
    if size not in _NAMES:
        raise unknown("size", size, _NAMES)
    return COLUMNS.get(size.rpartition("_")[2])


def finetune_table(size: str, stage: str) -> tuple[Table[Finetune], str]:
    """The table of a stage that has a size (Tables 2-6), and its letter there.

    Args:
        size: as of `column_of`. V1 takes the column of the V2 model of its size.
        stage: "1k", from FCMAE to ImageNet-1K; "22k", from FCMAE to ImageNet-22K; or "22k-to-1k",
            from there on to ImageNet-1K.

    Raises:
        ValueError: for an unknown size or stage, and a size without a column at that stage.
    """
    tables = stage_tables(stage)
    letter = column_of(size)
    for table in tables:
        if letter is not None and letter in table.columns:
            return table, letter
    having = [name for name, column in COLUMNS.items() if any(column in t.columns for t in tables)]
    elsewhere = [
        other
        for other, others in STAGES.items()
        if letter is not None and any(letter in table.columns for table in others)
    ]
    take = "".join(f"stage {other!r}, " for other in elsewhere)
    raise ValueError(
        f"size {size!r} has no column at stage {stage!r}: {', '.join(having)} have one. "
        f"Take {take}one of these sizes"
    )


def stage_tables(stage: str) -> tuple[Table[Finetune], ...]:
    """The tables of "1k", "22k" or "22k-to-1k"; another stage is a ValueError."""
    if stage not in STAGES:
        raise unknown("stage", stage, STAGES)
    return STAGES[stage]


def layer_decay_kind(model: str) -> str:
    """How `model` shares out its layer-wise decay, by "layer" or by "group" (section A.2).

    Small and XLarge, of which the paper says nothing, are as deep as Base and Large: "group".
    """
    letter = column_of(model)
    return "group" if letter is None else FINETUNING.layer_decay_kind[letter]
