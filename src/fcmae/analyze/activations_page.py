"""Figure and page of `analyze activations`, in the form of the main paper's figure 3."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fcmae.analyze.comparison import greater, pair_of
from fcmae.analyze.idle_channels import RULE
from fcmae.analyze.pictures import Picture, colours, draw_grid, mosaic
from fcmae.console.units import percent
from fcmae.findings.page import Finding, Table, write_finding
from fcmae.findings.record import Row
from fcmae.findings.verdict import UNDECIDED
from fcmae.images.fixed_images import Pictures

SHOWN = (0.01, 0.99)  # quantiles of a model's values that have the colours at the ends
FEW = 16  # sites: too few to say that a channel never changes
PAPER = (
    "In the main paper (figure 3, on feature collapse) many channels of a V1 that is pre-trained "
    "by masking are dead, saturated or alike, most of all where a block has widened its features."
)
READING = (
    "Each row is an image, and each small map a channel of the block over the image’s sites. "
    "Channels are at even distances, and stand in the same places in each row. Colours are the "
    "same for all maps of a model: dark is the first percentile of its values, yellow the last.",
    RULE,
)
COMPARED = (
    "The first V1 and the first V2 are compared: that V2 has fewer dead or saturated channels "
    "counts as reproduced where its share of them is smaller by more than two standard errors over "
    "channels, as not reproduced where it is larger by as much, and as not decidable between, for "
    f"one image, and for fewer than {FEW} sites in all."
)


class Shown(NamedTuple):
    """A model's maps."""

    title: str
    pictures: Pictures
    maps: Tensor  # [B, h, w, C]
    row: Row

    @property
    def idle(self) -> tuple[float, float]:
        """The share of channels that are dead or saturated, and its standard error."""
        number = self.row["channels"]
        share = (self.row["dead"] + self.row["saturated"]) / number
        return share, math.sqrt(share * (1 - share) / number)


def write_page(out: Path, shown: Sequence[Shown], number: int, about: Mapping[str, Any]) -> Path:
    """Write `figure.png`, `figure.svg` and `page.html`; return the path of the last.

    Args:
        out: the folder.
        shown: what to show.
        number: of channels drawn for each image.
        about: the run.
    """
    first = shown[0].pictures
    columns = [[colours(image) for image in first.images]]
    columns += [mosaics(model.maps, number) for model in shown]
    finding = Finding(
        kind="Channel maps, as in the main paper’s figure 3",
        title=f"Activations of {about['block']}",
        shows=[*says(shown), PAPER],
        figure=draw_grid(
            list(zip(*columns, strict=True)), ["", *(model.title for model in shown)], first.names
        ),
        alternative="the images, and beside each of them maps of channels, a model after the other",
        reading=[*READING, *([COMPARED] if pair_of(shown, _model) else [])],
        table=table(shown),
    )
    return write_finding(out, finding, about)


def mosaics(maps: Tensor, number: int) -> list[Picture]:
    """Of each image so many channels at even distances, in colours that all of them share."""
    channels = maps.shape[3]
    drawn = min(number, channels)
    some = maps[..., [place * channels // drawn for place in range(drawn)]]
    quantiles = torch.tensor(SHOWN, dtype=torch.float64)
    # Quantiles of at most so many values are known to PyTorch.
    values = some.flatten().double()[:: max(1, some.numel() >> 23)]
    low, high = values.quantile(quantiles).tolist()
    return [mosaic(image, (low, high)) for image in some]


def says(shown: Sequence[Shown]) -> list[str]:
    """The paper's statement where it applies, then what was counted."""
    sentences = []
    if pair := pair_of(shown, _model):
        (v1, error_1), (v2, error_2) = (model.idle for model in pair)
        few = len(pair[0].maps) < 2 or pair[0].maps[..., 0].numel() < FEW
        verdict = UNDECIDED if few else greater(v1, v2, math.hypot(error_1, error_2))
        sentences.append(
            f"V2 has fewer dead or saturated channels than V1: {verdict} ({percent(v2)} against "
            f"{percent(v1)})."
        )
    counts = (
        f"{model.title}: {model.row['dead']} of {model.row['channels']} channels are dead and "
        f"{model.row['saturated']} saturated."
        for model in shown
    )
    return [*sentences, " ".join(counts)]


def table(shown: Sequence[Shown]) -> Table:
    """Every model's counts."""
    rows = [
        [model.title, *(str(model.row[name]) for name in ("channels", "dead", "saturated"))]
        for model in shown
    ]
    return Table(("model", "channels", "dead", "saturated"), rows)


def _model(shown: Shown) -> str:
    return str(shown.row["model"])
