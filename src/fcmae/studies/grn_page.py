"""The page of Table 9: accuracies by what is left of GRN, beside the paper's."""

from collections.abc import Mapping, Sequence
from typing import Any

from fcmae.findings.figures import Panel, Series, draw
from fcmae.findings.page import Finding, Table
from fcmae.findings.record import Row
from fcmae.studies.claims import Claim, above, sentence
from fcmae.studies.rows import by_name, by_seed, failures, in_words, mean, spread

# Names of the cases, and the paper's: "base" is V1.
CASES = {
    "base": "base (V1)",
    "scale": "(a) X",
    "aggregate": "(b) X · G(X)",
    "normalise": "(c) X · N(X)",
    "grn": "(d) X · N(G(X)), GRN",
}
ACCURACIES = {"base": 83.7, "scale": 83.9, "aggregate": 83.9, "normalise": None, "grn": 84.6}
UNSTABLE = "unstable"
PAPERS = 800  # epochs
PAPER = (
    "The paper’s numbers are of ImageNet with Base, 800 epochs of pre-training: GRN 0.9 points "
    "above V1, scale and shift or aggregation alone 0.2, and normalisation alone unstable."
)
READING = (
    "X are the widened channels. G is each channel’s L2 norm over an image’s visible sites, N "
    "divides by the mean over channels; every case has GRN’s affine parameters and residual, as "
    "gamma · (…) + beta + X. In (c) each site is divided by the mean of its own channels, which "
    "may be near 0: nothing is aggregated before.",
    "Unstable means that the loss or the gradient stopped being a number. Such a run has no "
    "accuracy. The decoder’s block keeps its GRN in every case.",
)


def finding(rows: Sequence[Row], run: Mapping[str, Any]) -> Finding:
    """The page: accuracies beside the paper's."""
    values = by_name(rows)
    base = mean(values.get("base", []))
    table = Table(
        ("case", "accuracy (%)", "above base", "the paper’s (%)", "above base", ""),
        [
            (
                CASES[case],
                in_words(values[case]) if values[case] else failures(rows, case) and UNSTABLE,
                points(mean(values[case]), base) if case != "base" else "",
                UNSTABLE if ACCURACIES[case] is None else f"{ACCURACIES[case]:.1f}",
                points(ACCURACIES[case], ACCURACIES["base"]) if case != "base" else "",
                failures(rows, case),
            )
            for case in CASES
            if case in values
        ],
        "Mean ± standard deviation over seeds, and their number.",
    )
    return Finding(
        kind="The paper’s Table 9, measured again",
        title="The parts of GRN",
        shows=[sentence("Table 9", claims(rows, run)), PAPER],
        figure=draw([panels(rows)], bars=True),
        alternative="accuracies by case, here and in the paper, as in the table",
        reading=READING,
        table=table,
    )


def claims(rows: Sequence[Row], run: Mapping[str, Any]) -> list[Claim]:
    """That GRN is above each other case, and that normalisation alone is unstable.

    That no run here became unstable says nothing against the paper unless it was as long.
    """
    values = by_seed(rows)
    found = [above(values, "grn", case) for case in ("base", "scale", "aggregate")]
    tried = [row for row in rows if row["name"] == "normalise"]
    failed = sum(row["unstable"] is not None for row in tried)
    stable = False if tried and run["settings"]["pretraining_epochs"] >= PAPERS else None
    text = f"normalise unstable ({failed} of {len(tried)} runs)"
    return [*found, Claim(text, True if failed else stable)]


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Accuracies here, and what each case has above base, here and in the paper."""
    values = by_name(rows)
    cases = [case for case in CASES if case in values]
    names = tuple(case if values[case] else f"{case}\n{UNSTABLE}" for case in cases)
    here = Series(
        "here",
        "here",
        tuple(mean(values[case]) for case in cases),
        tuple(spread(values[case]) for case in cases),
    )
    base = mean(values.get("base", []))
    gains = Series("here", "here", tuple(_difference(mean(values[case]), base) for case in cases))
    papers = Series(
        "the paper",
        "the paper: ImageNet, Base",
        tuple(_difference(ACCURACIES[case], ACCURACIES["base"]) for case in cases),
    )
    return [
        Panel("fine-tuned accuracy (%)", "case", names, (here,)),
        Panel("above base (points)", "case", names, (gains, papers)),
    ]


def points(value: float | None, base: float | None) -> str:
    """`+0.9`; a dash where one of the two is missing."""
    difference = _difference(value, base)
    return "–" if difference is None else f"{difference:+.1f}"


def _difference(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value - base
