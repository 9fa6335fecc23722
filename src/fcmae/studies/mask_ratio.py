"""Figure 3: how the share of an image that is masked decides what fine-tuning reaches."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcmae.commands.command import command
from fcmae.console.units import accuracy as percent
from fcmae.report.charts import Panel
from fcmae.studies.claims import above
from fcmae.studies.results import Results, Row, mean, series
from fcmae.studies.scale import Scale
from fcmae.studies.study import ACCURACY, ComparisonOptions, Setting, Study, each_once

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CLAIMS = (("0.6", "0.1"), ("0.6", "0.9"), ("0.1", "0.9"))


@dataclass(frozen=True, kw_only=True)
class MaskRatio(ComparisonOptions):
    """Pre-train with several mask ratios, fine-tune alike, and draw the paper's figure 3.

    Args:
        scale: small (two cores, an hour) or paper (Base at 224 pixels, 800 epochs).
        ratios: shares of patches to mask. Default: 0.1, 0.2 ... 0.9.

    Returns:
        One row a setting, as in results.json.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
    """

    out: str | Path = Path("runs/study-mask-ratio")
    ratios: tuple[float, ...] = ()


mask_ratio = command(MaskRatio, "fcmae.studies.mask_ratio:run_mask_ratio", list[dict[str, Any]])


def run_mask_ratio(options: MaskRatio) -> list[Row]:
    """Pre-train with each ratio, and fine-tune."""
    from fcmae.studies import runner

    ratios = each_once("ratios", options.ratios) or RATIOS
    for ratio in ratios:
        if not 0 < ratio < 1:
            raise ValueError(f"ratios {ratio}: shares between 0 and 1 are needed, such as 0.6")
    return runner.run(
        STUDY, options, lambda scale: {f"{ratio:g}": setting(scale, ratio) for ratio in ratios}
    )


def setting(scale: Scale, ratio: float) -> Setting:
    """Pre-training with a ratio."""
    from fcmae.models.masks import num_visible
    from fcmae.sizes import total_stride

    model = f"convnextv2_{scale.size}"
    patches = (scale.image_size // total_stride(scale.stem_stride)) ** 2
    facts = {"visible_patches": num_visible(patches, ratio), "patches": patches}
    return Setting(model, scale.pretraining(model, mask_ratio=ratio), scale.finetuning(), facts)


def panels(results: Results) -> list[Panel]:
    """Accuracy over the ratio."""
    values = results.by_name()
    line = series("here, with one standard deviation over seeds", values.values())
    places = tuple(map(float, values))
    return [Panel("fine-tuned accuracy (%)", "mask ratio", places, (line,), from_zero=False)]


def masked(results: Results, ratio: str) -> str:
    """The share that really is: patches are whole."""
    row = next(row for row in results.rows if row["name"] == ratio)
    return percent(1 - row["visible_patches"] / row["patches"])


def best(results: Results) -> str | None:
    """The ratio of the highest mean."""
    means = {ratio: mean(values) for ratio, values in results.by_name().items() if values}
    return (
        f"Highest mean here: at {max(means, key=lambda one: means[one] or 0.0)}." if means else None
    )


STUDY = Study(
    name="mask-ratio",
    kind="The paper’s figure 3, measured again",
    title="Mask ratio",
    subject="Figure 3",
    order=float,
    paper="The paper, on ImageNet with patches of 32 pixels: 0.6 is best, 0.5 to 0.7 are good, and "
    "both ends are worse, masking 90 % more so than leaving 90 %.",
    claims=lambda results: [above(results.by_seed(), *pair) for pair in CLAIMS],
    remark=best,
    panels=panels,
    alternative="accuracy over mask ratio, as in the table",
    reading=(
        "Each point is pre-trained with its ratio and fine-tuned as all the others. The band is "
        "one standard deviation over seeds. Patches are whole, so the share that is really masked "
        "is a little larger than the ratio: the table has it.",
    ),
    columns=(("mask ratio", lambda _, ratio: ratio), ("really masked", masked), ACCURACY),
)
