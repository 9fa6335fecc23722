"""The page of figure 3: accuracy over the mask ratio."""

from collections.abc import Mapping, Sequence
from typing import Any

from fcmae.console.units import accuracy as percent
from fcmae.findings.figures import Panel, Series, draw
from fcmae.findings.page import Finding, Table
from fcmae.findings.record import Row
from fcmae.studies.claims import above, sentence
from fcmae.studies.rows import by_name, by_seed, failures, in_words, mean, spread

PAPER = (
    "The paper, on ImageNet with patches of 32 pixels: 0.6 is best, 0.5 to 0.7 are good, and both "
    "ends are worse, masking 90 % more so than leaving 90 %."
)
CLAIMS = (("0.6", "0.1"), ("0.6", "0.9"), ("0.1", "0.9"))
READING = (
    "Each point is pre-trained with its ratio and fine-tuned as all the others. The band is one "
    "standard deviation over seeds. Patches are whole, so the share that is really masked is a "
    "little larger than the ratio: the table has it.",
)


def finding(rows: Sequence[Row], run: Mapping[str, Any]) -> Finding:
    """The page: accuracy over the ratio."""
    values = dict(sorted(by_name(rows).items(), key=lambda one: float(one[0])))
    masked = {row["name"]: 1 - row["visible_patches"] / row["patches"] for row in rows}
    line = Series(
        "accuracy",
        "here, with one standard deviation over seeds",
        tuple(mean(found) for found in values.values()),
        tuple(spread(found) for found in values.values()),
    )
    places = tuple(float(ratio) for ratio in values)
    panel = Panel("fine-tuned accuracy (%)", "mask ratio", places, (line,), from_zero=False)
    measured = {ratio: mean(found) for ratio, found in values.items() if found}
    best = max(measured, key=lambda ratio: measured[ratio] or 0.0) if measured else None
    claims = [above(by_seed(rows), *pair) for pair in CLAIMS]
    shows = [sentence("Figure 3", claims), PAPER]
    return Finding(
        kind="The paper’s figure 3, measured again",
        title="Mask ratio",
        shows=[*shows, f"Highest mean here: at {best}."] if best else shows,
        figure=draw([[panel]]),
        alternative="accuracy over mask ratio, as in the table",
        reading=READING,
        table=Table(
            ("mask ratio", "really masked", "accuracy (%)", ""),
            [
                (ratio, percent(masked[ratio]), in_words(found), failures(rows, ratio))
                for ratio, found in values.items()
            ],
            "Mean ± standard deviation over seeds, and their number.",
        ),
    )
