"""The page of Table 7: the four trainings by size, beside the paper's."""

from collections.abc import Mapping, Sequence
from typing import Any

from fcmae.findings.figures import Panel, Series, draw
from fcmae.findings.page import Finding, Table
from fcmae.findings.record import Row
from fcmae.recipes.accuracies import TABLE_7, TABLE_7_V1_FCMAE, TABLE_7_V2_SUPERVISED
from fcmae.studies.claims import above, sentence
from fcmae.studies.rows import by_name, by_seed, failures, in_words, mean, spread

SUPERVISED, FCMAE = "supervised", "FCMAE"
CASES = (
    ("convnext", SUPERVISED),
    ("convnextv2", SUPERVISED),
    ("convnext", FCMAE),
    ("convnextv2", FCMAE),
)
LABELS = {"convnext": "V1", "convnextv2": "V2"}
PAPER = (
    "The paper, on ImageNet: FCMAE does little for V1, GRN alone adds 0.2 to 0.5 points, and V2 "
    "with FCMAE is 0.8 to 1.5 points above supervised V1 at every size (Table 7). Table 8, with "
    "ImageNet-22K between the two, has V2 0.7 to 1.0 points above V1; that stage is not part of "
    "this study."
)
READING = (
    "Supervised is training from scratch on the same labelled images, FCMAE is pre-training "
    "without labels and then fine-tuning. Differences are to supervised V1 of the same size.",
)


def finding(rows: Sequence[Row], run: Mapping[str, Any]) -> Finding:
    """The page: the co-design table."""
    values, printed = accuracies(rows), paper()
    sizes = tuple(dict.fromkeys(row["model"].partition("_")[2] for row in rows))
    claims = [
        above(by_seed(named(rows)), name(size, "convnextv2", FCMAE), name(size, *other))
        for size in sizes
        for other in CASES[:3]
    ]
    cells = []
    for size in sizes:
        first = name(size, *CASES[0])
        for case in CASES:
            one = name(size, *case)
            found, theirs = values.get(one, []), printed.get(one)
            gain = _above(mean(found), mean(values.get(first, [])))
            their_gain = _above(theirs, printed.get(first))
            failed = failures(named(rows), one)
            paper_cell = "–" if theirs is None else f"{theirs:.1f}{their_gain}"
            cells.append((one, f"{in_words(found)}{gain}", paper_cell, failed))
    return Finding(
        kind="The paper’s Table 7, measured again",
        title="Architecture and pre-training, designed together",
        shows=[sentence("The co-design of Table 7", claims), PAPER],
        figure=draw([panels(values, sizes)], bars=True),
        alternative="accuracies of the four trainings by size, as in the table",
        reading=(*READING, supervised_in_words(run)),
        table=Table(
            ("model, method", "accuracy (%)", "the paper’s (%)", ""),
            cells,
            "Mean ± standard deviation over seeds, and their number; in parentheses with a sign, "
            "the difference to supervised V1 of the same size.",
        ),
    )


def panels(values: Mapping[str, list[float]], sizes: tuple[str, ...]) -> list[Panel]:
    """Accuracies here, and the paper's."""
    printed, here, theirs = paper(), [], []
    for case in CASES:
        names = [name(size, *case) for size in sizes]
        label = f"{LABELS[case[0]]}, {case[1]}"
        found = [values.get(one, []) for one in names]
        here.append(
            Series(label, label, tuple(map(mean, found)), tuple(map(spread, found)))  # a bar a size
        )
        theirs.append(Series(label, label, tuple(printed.get(one) for one in names)))
    return [
        Panel("accuracy here (%)", "size", sizes, tuple(here)),
        Panel("the paper’s: ImageNet-1K (%)", "size", sizes, tuple(theirs)),
    ]


def name(size: str, family: str, method: str) -> str:
    """`V2 atto, FCMAE`."""
    return f"{LABELS[family]} {size}, {method}"


def accuracies(rows: Sequence[Row]) -> dict[str, list[float]]:
    """In per cent, by such a name, one a seed."""
    return by_name(named(rows))


def named(rows: Sequence[Row]) -> list[Row]:
    """With such a name."""
    return [row | {"name": _name_of(row)} for row in rows]


def paper() -> dict[str, float]:
    """The paper's accuracies in per cent (Table 7)."""
    found = {}
    for table, of_v1, of_v2 in (
        (TABLE_7, SUPERVISED, FCMAE),
        (TABLE_7_V2_SUPERVISED, "", SUPERVISED),
        (TABLE_7_V1_FCMAE, FCMAE, ""),
    ):
        for model, accuracy in table.items():
            family, _, size = model.partition("_")
            found[name(size, family, of_v1 if family == "convnext" else of_v2)] = accuracy
    return found


def supervised_in_words(run: Mapping[str, Any]) -> str:
    """How the two without pre-training were trained."""
    return (
        f"Supervised training: {run['settings']['supervised_epochs']} epochs from scratch on the "
        "same labels."
    )


def _name_of(row: Row) -> str:
    family, _, size = row["model"].partition("_")
    return name(size, family, row["method"])


def _above(value: float | None, first: float | None) -> str:
    if value is None or first is None or value == first:
        return ""
    return f" ({value - first:+.1f})"
