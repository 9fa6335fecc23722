"""What a study is: its options, what it compares, what the paper found, and how it is shown.

A study is a file with the options of its command, a function that gives its settings, and one value
`Study`; `runner` does the rest. Nothing here imports torch, so that help comes at once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from fcmae.commands.command import Options
from fcmae.errors import unknown
from fcmae.report.charts import Panel
from fcmae.studies.claims import Claim
from fcmae.studies.results import Results, Row, counted
from fcmae.studies.scale import FINETUNING, PRETRAINING, Keywords, Scale

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class StudyOptions(Options):
    """Data, scale and device of a study.

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        workers: processes that read images. Default: 1 on the CPU; else the cores, at most 8.
    """

    data: str | Path
    out: str | Path
    scale: Literal["small", "paper"] = "small"
    seeds: tuple[int, ...] = ()
    device: str = "auto"
    workers: int | None = None


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions(StudyOptions):
    """A study whose settings are runs of `fcmae pretrain` and `fcmae finetune`.

    Args:
        data: folder with train/CLASS and val/CLASS.
        out: folder of results.json, results.csv, figure.png, figure.svg, page.html and runs, the
            ordinary runs of `fcmae pretrain` and `fcmae finetune` that every setting is. After an
            interruption the same command goes on, and settings and seeds may be added. A run whose
            loss stops being a number is a row that says so.
        seeds: each is trained with. Default: the scale's, two for small and one for paper.
        set: values of the scale, as field=value, such as num_images=2000 pretraining_epochs=5.
    """

    set: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One of the things that a study compares; it is trained once with each seed."""

    model: str
    pretraining: Keywords | None  # options of `pretrain`; None: from scratch
    finetuning: Keywords | None  # options of `finetune`; None: pre-training alone
    facts: Mapping[str, Any] = field(default_factory=dict)  # what else its rows say


Settings = Callable[[Scale], Mapping[str, Setting]]  # by name, in the order of training
Column = tuple[str, Callable[[Results, str], str]]
ACCURACY: Column = ("accuracy (%)", lambda results, label: counted(results.values(label)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What a study claims and shows; functions are of its results so far.

    Attributes:
        name: of the command.
        kind: what of the paper is done again.
        title: of the page.
        subject: of the sentence that says whether it is reproduced.
        parts: of the scale, that its settings are trained by.
        long: whether the paper's own is the longer pre-training.
        label: what the setting of a row is called on the page.
        order: of these labels, as a key to sort by; by default as they were trained.
        paper: what the paper found.
        claims: the same, one by one, and whether it holds here.
        panels: of the figure.
        bars: whether they are bars, rather than lines.
        alternative: what a screen reader says in place of the figure.
        reading: how the figure is to be read, with fields of the scale in braces.
        columns: of the table, as headings and what there is of a label; failures are the last.
        caption: of the table.
        remark: what else was found.
    """

    name: str
    kind: str
    title: str
    subject: str
    parts: tuple[str, ...] = (PRETRAINING, FINETUNING)
    long: bool = False
    label: Callable[[Row], str] = lambda row: str(row["name"])
    order: Callable[[str], float] = lambda _: 0
    paper: str
    claims: Callable[[Results], list[Claim]]
    panels: Callable[[Results], list[Panel]]
    bars: bool = False
    alternative: str
    reading: tuple[str, ...]
    columns: tuple[Column, ...]
    caption: str = "Mean ± standard deviation over seeds, and their number."
    remark: Callable[[Results], str | None] = lambda _: None


def some_of(field: str, wanted: Sequence[T], known: Collection[T]) -> tuple[T, ...]:
    """What is to be compared: all that is known, unless some are named, each once.

    Raises:
        ValueError: for a name that is unknown or given twice.
    """
    for name in wanted:
        if name not in known:
            raise unknown(field, str(name), map(str, known))
    return each_once(f"{field}s", wanted) or tuple(known)


def each_once(field: str, values: Sequence[T]) -> tuple[T, ...]:
    """Refuse a value that is given twice: it would be trained once and counted twice."""
    twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
    if twice:
        raise ValueError(f"{field}: {twice[0]} is given twice: give each once")
    return tuple(values)
