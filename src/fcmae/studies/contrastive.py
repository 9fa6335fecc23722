"""Section D's comparison: momentum contrast, masked pre-training, and none, of one encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fcmae.commands.command import command
from fcmae.console.units import duration
from fcmae.report.charts import Panel, Series
from fcmae.studies.claims import above
from fcmae.studies.results import Results, Row, mean, series
from fcmae.studies.scale import CONTRASTIVE, FINETUNING, PRETRAINING, SUPERVISED, Scale
from fcmae.studies.study import ACCURACY, ComparisonOptions, Setting, Study, some_of

LABELS = {"supervised": "from scratch", "moco-v3": "MoCo v3", "fcmae": "FCMAE"}
PAPERS = {"from scratch": 84.3, "MoCo v3": 83.7, "FCMAE": 84.9}  # section D, Base on ImageNet-1K
CLAIMS = (("FCMAE", "MoCo v3"), ("FCMAE", "from scratch"))


@dataclass(frozen=True, kw_only=True)
class Contrastive(ComparisonOptions):
    """Train ConvNeXt V2 from scratch, after MoCo v3 and after FCMAE, and compare accuracies.

    Args:
        scale: small (two cores, half an hour) or paper (Base at 224 pixels, 1600 epochs of FCMAE,
            300 of MoCo v3, 300 of supervised training).
        methods: some of supervised, moco-v3, fcmae. Default: all.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    out: str | Path = Path("runs/study-contrastive")
    methods: tuple[Literal["supervised", "moco-v3", "fcmae"], ...] = ()


contrastive = command(
    Contrastive, "fcmae.studies.contrastive:run_contrastive", list[dict[str, Any]]
)


def run_contrastive(options: Contrastive) -> list[Row]:
    """Train by each method."""
    from fcmae.studies import runner

    methods = some_of("method", options.methods, LABELS)

    def settings(scale: Scale) -> dict[str, Setting]:
        model = f"convnextv2_{scale.size}"
        known = {
            "supervised": Setting(model, None, scale.supervised(model)),
            "moco-v3": Setting(model, scale.contrastive(model), scale.finetuning()),
            "fcmae": Setting(model, scale.pretraining(model), scale.finetuning()),
        }
        return {method: known[method] for method in methods}

    return runner.run(STUDY, options, settings)


def panels(results: Results) -> list[Panel]:
    """Accuracies by method, here and in the paper."""
    values = results.by_name()
    here = series("mean, with one standard deviation over seeds", values.values())
    theirs = Series("paper", "ImageNet-1K, Base", tuple(PAPERS[label] for label in values))
    return [
        Panel("accuracy here (%)", "", tuple(values), (here,)),
        Panel("the paper’s: ImageNet-1K (%)", "", tuple(values), (theirs,)),
    ]


def time(results: Results, label: str) -> str:
    """Of training with one seed, on average."""
    return duration(mean(results.values(label, lambda row: row["seconds"])) or 0.0)


STUDY = Study(
    name="contrastive",
    kind="Section D of the paper’s appendix, measured again",
    title="Masked or contrastive pre-training",
    subject="The comparison of section D",
    parts=(SUPERVISED, CONTRASTIVE, PRETRAINING, FINETUNING),
    long=True,
    label=lambda row: LABELS[row["name"]],
    order=list(LABELS.values()).index,
    paper="The paper, Base on ImageNet: 84.3 from scratch for 300 epochs, 83.7 after MoCo v3, 84.9 "
    "after FCMAE, so that masked pre-training is above both.",
    claims=lambda results: [above(results.by_seed(), *pair) for pair in CLAIMS],
    panels=panels,
    bars=True,
    alternative="accuracies of the three methods, as in the table",
    reading=(
        "One encoder, ConvNeXt V2, trained on labels from fresh weights, and fine-tuned after MoCo "
        "v3, which learns to tell two views of an image from all other images, and after FCMAE, "
        "which learns to fill in what is masked. Each method has a recipe of its own, and an epoch "
        "of MoCo v3 costs several of FCMAE: the table says how long each took.",
        "MoCo v3 was trained for {contrastive_epochs} epochs, from scratch for "
        "{supervised_epochs}.",
    ),
    columns=(
        ("method", lambda _, label: label),
        ACCURACY,
        ("the paper’s (%)", lambda _, label: f"{PAPERS[label]:.1f}"),
        ("time of a seed", time),
    ),
)
