"""The page of section D's comparison with contrastive learning."""

from collections.abc import Mapping, Sequence
from typing import Any

from fcmae.console.units import duration
from fcmae.findings.figures import Panel, Series, draw
from fcmae.findings.page import Finding, Table
from fcmae.findings.record import Row
from fcmae.studies.claims import above, sentence
from fcmae.studies.rows import by_name, by_seed, failures, in_words, mean, spread

LABELS = {"supervised": "from scratch", "moco-v3": "MoCo v3", "fcmae": "FCMAE"}
PAPERS = {"supervised": 84.3, "moco-v3": 83.7, "fcmae": 84.9}  # section D, Base on ImageNet-1K
CLAIMS = (("fcmae", "moco-v3"), ("fcmae", "supervised"))
PAPER = (
    "The paper, Base on ImageNet: 84.3 from scratch for 300 epochs, 83.7 after MoCo v3, 84.9 after "
    "FCMAE, so that masked pre-training is above both."
)
READING = (
    "One encoder, ConvNeXt V2, trained on labels from fresh weights, and fine-tuned after MoCo v3, "
    "which learns to tell two views of an image from all other images, and after FCMAE, which "
    "learns to fill in what is masked. Each method has a recipe of its own, and an epoch of MoCo "
    "v3 costs several of FCMAE: the table says how long each took.",
)


def finding(rows: Sequence[Row], run: Mapping[str, Any]) -> Finding:
    """The page: accuracy by method."""
    values, seconds = by_name(rows), by_name(rows, "seconds", factor=1)
    names = [name for name in LABELS if name in values]
    labels = tuple(LABELS[name] for name in names)
    here = Series(
        "accuracy",
        "mean, with one standard deviation over seeds",
        tuple(mean(values[name]) for name in names),
        tuple(spread(values[name]) for name in names),
    )
    theirs = Series("paper", "ImageNet-1K, Base", tuple(PAPERS[name] for name in names))
    panels = [
        Panel("accuracy here (%)", "", labels, (here,)),
        Panel("the paper’s: ImageNet-1K (%)", "", labels, (theirs,)),
    ]
    cells = [
        (
            LABELS[name],
            in_words(values[name]),
            f"{PAPERS[name]:.1f}",
            duration(mean(seconds[name]) or 0.0),
            failures(rows, name),
        )
        for name in names
    ]
    labelled = {LABELS[name]: found for name, found in by_seed(rows).items()}
    claims = [above(labelled, LABELS[one], LABELS[other]) for one, other in CLAIMS]
    settings = run["settings"]
    return Finding(
        kind="Section D of the paper’s appendix, measured again",
        title="Masked or contrastive pre-training",
        shows=[sentence("The comparison of section D", claims), PAPER],
        figure=draw([panels], bars=True),
        alternative="accuracies of the three methods, as in the table",
        reading=(
            *READING,
            f"MoCo v3 was trained for {settings['contrastive_epochs']} epochs, from scratch for "
            f"{settings['supervised_epochs']}.",
        ),
        table=Table(
            ("method", "accuracy (%)", "the paper’s (%)", "time of a seed", ""),
            cells,
            "Mean ± standard deviation over seeds, and their number.",
        ),
    )
