"""Figure 6: what stands in GRN's place, and how diverse are the features learned with it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fcmae.commands.command import command
from fcmae.report.charts import Panel
from fcmae.studies.claims import above
from fcmae.studies.results import Results, Row, counted, series
from fcmae.studies.scale import PRETRAINING, Scale
from fcmae.studies.study import ACCURACY, ComparisonOptions, Setting, Study, some_of

LABELS = {"none": "none", "layer": "LN", "batch": "BN", "local": "LRN", "grn": "GRN"}
ACCURACIES = {"none": 83.7, "LN": 83.8, "BN": 80.5, "LRN": 83.2, "GRN": 84.6}  # main paper
CLAIMS = (("GRN", "LN"), ("LN", "none"), ("none", "BN"), ("LN", "BN"), ("LRN", "BN"))
TENSORS = {"block": "what leaves a block", "widened": "what enters its last linear layer"}


@dataclass(frozen=True, kw_only=True)
class Normalization(ComparisonOptions):
    """Pre-train with other layers in GRN's place, and draw the paper's figure 6.

    Args:
        scale: small (two cores, half an hour) or paper (Base at 224 pixels, 800 epochs).
        responses: some of none, layer, batch, local, grn. Default: all.
        finetuned: fine-tune each as well, for an accuracy; classes count only then.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    out: str | Path = Path("runs/study-normalization")
    responses: tuple[Literal["none", "layer", "batch", "local", "grn"], ...] = ()
    finetuned: bool = False


normalization = command(
    Normalization, "fcmae.studies.normalization:run_normalization", list[dict[str, Any]]
)


def run_normalization(options: Normalization) -> list[Row]:
    """Pre-train with each response, and measure the diversity of features."""
    from fcmae.studies import runner
    from fcmae.studies.diversity import diversity_of

    responses = some_of("response", options.responses, LABELS)

    def settings(scale: Scale) -> dict[str, Setting]:
        model = f"convnextv2_{scale.size}"
        finetuning = scale.finetuning() if options.finetuned else None
        return {
            response: Setting(model, scale.pretraining(model, response=response), finetuning)
            for response in responses
        }

    def measure(folder: Path, data: Path) -> Row:
        device, workers = options.device, options.workers
        return diversity_of(folder, data, tuple(TENSORS), device=device, workers=workers)

    study = STUDY if options.finetuned else replace(STUDY, parts=(PRETRAINING,))
    return runner.run(study, options, settings, measure)


def deep_half(row: Row) -> float | None:
    """The mean distance over the deeper half of the blocks' outputs."""
    if "diversity" not in row:
        return None
    deep = row["diversity"]["block"][len(row["diversity"]["block"]) // 2 :]
    return float(sum(deep) / len(deep))


def panels(results: Results) -> list[Panel]:
    """A panel for each tensor, a curve over depth for each norm."""
    measured = [row for row in results.rows if "diversity" in row]
    blocks = max((len(row["diversity"]["block"]) for row in measured), default=2)
    depth = tuple(round(block / (blocks - 1), 2) for block in range(blocks))
    found = []
    for tensor, title in TENSORS.items():
        curves = [
            series(label, zip(*seeds, strict=True))
            for label in LABELS.values()
            if (seeds := [r["diversity"][tensor] for r in measured if r["name"] == label])
        ]
        found.append(Panel(f"cosine distance: {title}", "depth", depth, tuple(curves)))
    return found


STUDY = Study(
    name="normalization",
    kind="The paper’s figure 6, drawn again",
    title="Feature diversity with other norms in GRN’s place",
    subject="Figure 6",
    label=lambda row: LABELS[row["name"]],
    order=list(LABELS.values()).index,
    paper="What the paper says of its figure 6: BN collapses worst, LRN is irregular, LN helps "
    "somewhat and stays below GRN, which is in keeping with the accuracies after fine-tuning.",
    claims=lambda results: [above(results.by_seed(deep_half), *pair, unit="") for pair in CLAIMS],
    panels=panels,
    alternative="feature distance over depth for each norm, whose means are in the table",
    reading=(
        "Distance is the mean over all pairs of channels of (1 − cosine) / 2 of their maps, "
        "averaged over whole images of val: 0 where all channels say the same, 0.5 where they are "
        "unrelated. The paper does not say which tensor its figure is of, so two are shown. Depth "
        "runs from the first block, 0, to the last, 1.",
        "Bands are one standard deviation over seeds. The claims above are about the mean distance "
        "of what leaves the blocks of the deeper half, where features collapse.",
        "LN and BN stand in GRN’s place as they are known, with scale and shift and no residual; "
        "LRN has the constants of Krizhevsky et al. 2012; none is V2’s block with nothing there. "
        "The decoder keeps its GRN.",
    ),
    columns=(
        ("in GRN’s place", lambda _, label: label),
        (
            "distance, deeper half",
            lambda results, label: counted(results.values(label, deep_half), digits=3),
        ),
        ACCURACY,
        ("the paper’s accuracy (%)", lambda _, label: f"{ACCURACIES[label]:.1f}"),
    ),
    caption="Mean ± standard deviation over seeds, and their number. The paper’s accuracies are of "
    "ImageNet with Base, from its main part; its baseline, “none”, is V1.",
)
