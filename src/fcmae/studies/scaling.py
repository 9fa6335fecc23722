"""Tables 7 and 8: what the architecture and the pre-training do, each alone and together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcmae.commands.command import command
from fcmae.recipes.accuracies import TABLE_7, TABLE_7_V1_FCMAE, TABLE_7_V2_SUPERVISED
from fcmae.recipes.lookup import COLUMNS
from fcmae.report.charts import Panel, Series
from fcmae.studies.claims import Claim, above
from fcmae.studies.results import Results, Row, counted, difference, mean, series
from fcmae.studies.scale import FINETUNING, PRETRAINING, SUPERVISED, Scale
from fcmae.studies.study import ComparisonOptions, Setting, Study, some_of

SIZES = [size for size in COLUMNS if size != "huge"]  # there is no Huge of V1
CASES = {  # family, method: the paper's accuracies in per cent, by model
    ("V1", "supervised"): TABLE_7,
    ("V2", "supervised"): TABLE_7_V2_SUPERVISED,
    ("V1", "FCMAE"): TABLE_7_V1_FCMAE,
    ("V2", "FCMAE"): TABLE_7,
}
FAMILIES = {"V1": "convnext", "V2": "convnextv2"}
PAPERS = {
    f"{family} {size}, {method}": table.get(f"{FAMILIES[family]}_{size}")
    for size in SIZES
    for (family, method), table in CASES.items()
}


@dataclass(frozen=True, kw_only=True)
class Scaling(ComparisonOptions):
    """Train V1 and V2, from scratch and after FCMAE, at chosen sizes, as the paper's Table 7.

    Args:
        scale: small (two cores, half an hour) or paper (224 pixels, 1600 epochs of pre-training).
        sizes: some of atto, femto, pico, nano, tiny, base, large. Default: the scale's.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    out: str | Path = Path("runs/study-scaling")
    sizes: tuple[str, ...] = ()


scaling = command(Scaling, "fcmae.studies.scaling:run_scaling", list[dict[str, Any]])


def run_scaling(options: Scaling) -> list[Row]:
    """Train the four of each size."""
    from fcmae.studies import runner

    if options.sizes:
        some_of("size", options.sizes, SIZES)

    def settings(scale: Scale) -> dict[str, Setting]:
        found = {}
        for size in options.sizes or (scale.size,):
            for family, method in CASES:
                model = f"{FAMILIES[family]}_{size}"
                pretraining, training = None, scale.supervised(model)
                if method == "FCMAE":
                    pretraining, training = scale.pretraining(model), scale.finetuning()
                facts = {"method": method}
                found[f"{model}-{method.lower()}"] = Setting(model, pretraining, training, facts)
        return found

    return runner.run(STUDY, options, settings)


def label(row: Row) -> str:
    """`V2 atto, FCMAE`."""
    model = row["model"].replace("convnextv2_", "V2 ").replace("convnext_", "V1 ")
    return f"{model}, {row['method']}"


def claims(results: Results) -> list[Claim]:
    """That V2 with FCMAE is above the three others of its size."""
    values = results.by_seed()
    return [
        above(values, f"V2 {size}, FCMAE", f"{family} {size}, {method}")
        for size in sizes_of(results)
        for family, method in list(CASES)[:3]
    ]


def sizes_of(results: Results) -> tuple[str, ...]:
    """Those that were trained."""
    return tuple(dict.fromkeys(label.split()[1].strip(",") for label in results.by_name()))


def panels(results: Results) -> list[Panel]:
    """Accuracies here and in the paper, a bar a size."""
    sizes, here, theirs = sizes_of(results), [], []
    for family, method in CASES:
        name, labels = f"{family}, {method}", [f"{family} {size}, {method}" for size in sizes]
        here.append(series(name, map(results.values, labels)))
        theirs.append(Series(name, name, tuple(PAPERS[one] for one in labels)))
    return [
        Panel("accuracy here (%)", "size", sizes, tuple(here)),
        Panel("the paper’s: ImageNet-1K (%)", "size", sizes, tuple(theirs)),
    ]


def accuracy(results: Results, label: str) -> str:
    """What was reached, and what that is above supervised V1."""
    values, first = results.values(label), results.values(first_of(label))
    return f"{counted(values)}{gain(mean(values), mean(first))}"


def paper(_: Results, label: str) -> str:
    """The paper's accuracy, likewise."""
    value = PAPERS[label]
    return "–" if value is None else f"{value:.1f}{gain(value, PAPERS[first_of(label)])}"


def first_of(label: str) -> str:
    """Supervised V1 of the same size."""
    return f"V1 {label.split()[1]} supervised"


def gain(value: float | None, first: float | None) -> str:
    """` (+0.9)`; nothing where one is missing, or there is no difference."""
    more = difference(value, first)
    return f" ({more:+.1f})" if more else ""


STUDY = Study(
    name="scaling",
    kind="The paper’s Table 7, measured again",
    title="Architecture and pre-training, designed together",
    subject="The co-design of Table 7",
    parts=(SUPERVISED, PRETRAINING, FINETUNING),
    long=True,
    label=label,
    paper="The paper, on ImageNet: FCMAE does little for V1, GRN alone adds 0.2 to 0.5 points, and "
    "V2 with FCMAE is 0.8 to 1.5 points above supervised V1 at every size (Table 7). Table 8, with "
    "ImageNet-22K between the two, has V2 0.7 to 1.0 points above V1; that stage is not part of "
    "this study.",
    claims=claims,
    panels=panels,
    bars=True,
    alternative="accuracies of the four trainings by size, as in the table",
    reading=(
        "Supervised is training from scratch on the same labelled images, FCMAE is pre-training "
        "without labels and then fine-tuning. Differences are to supervised V1 of the same size.",
        "Supervised training: {supervised_epochs} epochs from scratch on the same labels.",
    ),
    columns=(
        ("model, method", lambda _, label: label),
        ("accuracy (%)", accuracy),
        ("the paper’s (%)", paper),
    ),
    caption="Mean ± standard deviation over seeds, and their number; in parentheses with a sign, "
    "the difference to supervised V1 of the same size.",
)
