"""Figure and page of `analyze reconstruct`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from fcmae.analyze.pictures import Picture, colours, draw_grid
from fcmae.console.units import percent
from fcmae.findings.page import Finding, Table, write_finding
from fcmae.findings.record import Row
from fcmae.images.fixed_images import Pictures
from fcmae.models.masks import enlarge
from fcmae.pretraining.reconstructions import GREY

PAPER = (
    "The paper (appendix D, figure 4) shows such reconstructions of CIFAR-100 for masks of 4, 8 "
    "and 16 pixels: those of a ConvNeXt are smooth, where a Transformer’s show borders of blocks. "
    "Larger masks make the task harder for a ConvNeXt, it says, and lose information."
)
READING = (
    "Visible patches are the image’s own pixels. A cell is what one site of the last feature map "
    "stands for, the smallest patch there can be. What is predicted is each cell’s pixels relative "
    "to the cell’s own mean and deviation, where the model was trained so: these are then taken "
    "from the image, so that brightness and contrast of a masked cell are not the model’s merit.",
    "The loss is the training’s: the mean squared error over masked cells, of pixels normalised "
    "in each cell where the model was trained so; predicting nothing but a cell’s mean then has a "
    "loss of 1. The pixel error is the mean squared error of what is shown, over masked pixels "
    "from 0 to 1.",
)
KINDS = {
    "random": "Patches are masked at random, as in training.",
    "block": "Rectangles of patches are masked, so that what is hidden is far from what is seen.",
    "boxes": "Every patch that a box touches is masked, also where the box covers a part of it.",
}


class Seen(NamedTuple):
    """Images under one mask."""

    patch_size: int
    ratio: float | None  # None: boxes
    mask: Tensor  # bool [B, h, w]
    reconstructions: Sequence[Tensor]  # of each model [B, C, H, W]
    rows: Sequence[Row]  # of each model


def write_page(
    out: Path,
    pictures: Pictures,
    titles: Sequence[str],
    seen: Sequence[Seen],
    about: Mapping[str, Any],
) -> Path:
    """Write `figure.png`, `figure.svg` and `page.html`; return the path of the last.

    Args:
        out: the folder.
        pictures: the images.
        titles: of the models.
        seen: a mask each, by patch size, then by ratio.
        about: the run.
    """
    patch_sizes = list(dict.fromkeys(one.patch_size for one in seen))
    labels = [str(row["label"]) for row in seen[0].rows]
    columns = ["image"]
    for one in seen[: len(seen) // len(patch_sizes)]:
        columns += [
            about["mask"] if one.ratio is None else f"ratio {one.ratio:g}{_really(one)}",
            *labels,
        ]
    rows, names = [], []
    for place, (name, image) in enumerate(zip(pictures.names, pictures.images, strict=True)):
        for patch_size in patch_sizes:
            masks = [one for one in seen if one.patch_size == patch_size]
            rows.append(
                [colours(image), *(part for one in masks for part in drawn(image, one, place))]
            )
            names.append(f"{name} · patches of {patch_size} pixels")
    finding = Finding(
        kind="Masked images, and what a model makes of them",
        title="Reconstructions",
        shows=[*says(titles, seen), PAPER],
        figure=draw_grid(rows, columns, names),
        alternative="images, what the models see of them, and their reconstructions",
        reading=[" ".join([KINDS[about["mask"]], *touched(seen)]), *READING],
        table=table(titles, seen),
    )
    return write_finding(out, finding, about)


def drawn(image: Tensor, seen: Seen, place: int) -> list[Picture]:
    """What is visible of an image, and each model's reconstruction."""
    hidden = enlarge(seen.mask[place : place + 1], seen.patch_size)  # [1, H, W]
    masked = image.masked_fill(hidden, GREY)
    return [colours(masked), *(colours(made[place]) for made in seen.reconstructions)]


def touched(seen: Sequence[Seen]) -> list[str]:
    """Which patches boxes mask, a sentence for each patch size; none for other masks."""
    sentences = []
    for one in seen:
        if one.ratio is None:
            mask = one.mask[0]
            places = ", ".join(f"{row}/{column}" for row, column in mask.nonzero().tolist())
            sentences.append(
                f"Of {mask.shape[0]} x {mask.shape[1]} patches of {one.patch_size} pixels these "
                f"are masked (row/column from 0): {places}."
            )
    return sentences


def says(titles: Sequence[str], seen: Sequence[Seen]) -> list[str]:
    """Each model's loss under the first mask and under that which is the hardest for it."""
    sentences = []
    for number, title in enumerate(titles):
        first, hardest = seen[0], max(seen, key=lambda one: float(one.rows[number]["loss"]))
        sentence = f"{title}: a loss of {first.rows[number]['loss']:.3f} {_where(first)}"
        if hardest is not first:
            sentence += f", and at most {hardest.rows[number]['loss']:.3f}, {_where(hardest)}"
        sentences.append(f"{sentence}.")
    return sentences


def table(titles: Sequence[str], seen: Sequence[Seen]) -> Table:
    """Every mask, then every model."""
    rows = [
        [
            title,
            str(one.patch_size),
            "" if one.ratio is None else f"{one.ratio:g}",
            percent(row["masked_share"]),
            f"{row['loss']:.4f}",
            f"{row['pixel_error']:.4f}",
        ]
        for one in seen
        for title, row in zip(titles, one.rows, strict=True)
    ]
    heading = ("model", "patch size", "mask ratio", "patches masked", "loss", "pixel error")
    return Table(heading, rows)


def _where(seen: Seen) -> str:
    ratio = "" if seen.ratio is None else f" at ratio {seen.ratio:g}{_really(seen)}"
    return f"with patches of {seen.patch_size} pixels{ratio}"


def _really(seen: Seen) -> str:
    """The share that is masked, since patches are whole."""
    return f" ({percent(seen.mask.float().mean().item())} masked)"
