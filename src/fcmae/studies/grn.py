"""Table 9: GRN without one or the other of its parts, pre-trained and fine-tuned alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fcmae.commands.command import command
from fcmae.report.charts import Panel, Series
from fcmae.studies.claims import Claim, above
from fcmae.studies.results import Results, Row, counted, difference, mean, series
from fcmae.studies.scale import Scale
from fcmae.studies.study import ComparisonOptions, Setting, Study, some_of

CASES = {
    "base": "base (V1)",
    "scale": "(a) X",
    "aggregate": "(b) X · G(X)",
    "normalise": "(c) X · N(X)",
    "grn": "(d) X · N(G(X)), GRN",
}
ACCURACIES = {"base": 83.7, "scale": 83.9, "aggregate": 83.9, "normalise": None, "grn": 84.6}
GAINS = {case: difference(value, 83.7) for case, value in ACCURACIES.items()}
UNSTABLE = "unstable"
PAPERS = 800  # epochs


@dataclass(frozen=True, kw_only=True)
class Grn(ComparisonOptions):
    """Pre-train and fine-tune with GRN's parts alone, as the paper's Table 9.

    Args:
        scale: small (two cores, half an hour) or paper (Base at 224 pixels, 800 epochs).
        cases: some of base (V1), scale, aggregate, normalise, grn. Default: all.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    out: str | Path = Path("runs/study-grn")
    cases: tuple[Literal["base", "scale", "aggregate", "normalise", "grn"], ...] = ()


grn = command(Grn, "fcmae.studies.grn:run_grn", list[dict[str, Any]])


def run_grn(options: Grn) -> list[Row]:
    """Pre-train and fine-tune each case."""
    from fcmae.studies import runner

    cases = some_of("case", options.cases, CASES)
    return runner.run(STUDY, options, lambda scale: {case: setting(scale, case) for case in cases})


def setting(scale: Scale, case: str) -> Setting:
    """V1, or V2 with a part of GRN in its place."""
    family, response = ("convnext", "grn") if case == "base" else ("convnextv2", case)
    model = f"{family}_{scale.size}"
    return Setting(model, scale.pretraining(model, response=response), scale.finetuning())


def claims(results: Results) -> list[Claim]:
    """That GRN is above each other case, and that normalisation alone is unstable.

    That no run here became unstable says nothing against the paper unless it was as long.
    """
    values = results.by_seed()
    found = [above(values, "grn", case) for case in ("base", "scale", "aggregate")]
    tried = [row for row in results.rows if row["name"] == "normalise"]
    failed = sum(row["unstable"] is not None for row in tried)
    stable = False if tried and results.scale["pretraining_epochs"] >= PAPERS else None
    text = f"normalise unstable ({failed} of {len(tried)} runs)"
    return [*found, Claim(text, True if failed else stable)]


def panels(results: Results) -> list[Panel]:
    """Accuracies here, and what each case has above base, here and in the paper."""
    values = results.by_name()
    names = tuple(case if found else f"{case}\n{UNSTABLE}" for case, found in values.items())
    here = Series("here", "here", tuple(gain(results, case) for case in values))
    theirs = Series("paper", "the paper: ImageNet, Base", tuple(GAINS[case] for case in values))
    return [
        Panel("fine-tuned accuracy (%)", "case", names, (series("here", values.values()),)),
        Panel("above base (points)", "case", names, (here, theirs)),
    ]


def accuracy(results: Results, case: str) -> str:
    """Over the seeds that were stable."""
    values = results.values(case)
    return counted(values) if values else UNSTABLE


def gain(results: Results, case: str) -> float | None:
    """What a case has above base."""
    return difference(mean(results.values(case)), mean(results.values("base")))


def points(case: str, gained: float | None) -> str:
    """`+0.9`; a dash where that is missing, nothing for base itself."""
    if case == "base":
        return ""
    return "–" if gained is None else f"{gained:+.1f}"


STUDY = Study(
    name="grn",
    kind="The paper’s Table 9, measured again",
    title="The parts of GRN",
    subject="Table 9",
    order=list(CASES).index,
    paper="The paper’s numbers are of ImageNet with Base, 800 epochs of pre-training: GRN 0.9 "
    "points above V1, scale and shift or aggregation alone 0.2, and normalisation alone unstable.",
    claims=claims,
    panels=panels,
    bars=True,
    alternative="accuracies by case, here and in the paper, as in the table",
    reading=(
        "X are the widened channels. G is each channel’s L2 norm over an image’s visible sites, N "
        "divides by the mean over channels; every case has GRN’s affine parameters and residual, "
        "as gamma · (…) + beta + X. In (c) each site is divided by the mean of its own channels, "
        "which may be near 0: nothing is aggregated before.",
        "Unstable means that the loss or the gradient stopped being a number. Such a run has no "
        "accuracy. The decoder’s block keeps its GRN in every case.",
    ),
    columns=(
        ("case", lambda _, case: CASES[case]),
        ("accuracy (%)", accuracy),
        ("above base", lambda results, case: points(case, gain(results, case))),
        ("the paper’s (%)", lambda _, case: str(ACCURACIES[case] or UNSTABLE)),
        ("above base", lambda _, case: points(case, GAINS[case])),
    ),
)
