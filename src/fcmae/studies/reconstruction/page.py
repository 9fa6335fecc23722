"""The page of the study: both figures, the numbers, and the paper's claims beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from fcmae.console.units import accuracy
from fcmae.report import findings
from fcmae.report.charts import INK, Chart, Panel
from fcmae.report.files import draw_figure, save
from fcmae.report.findings import Page, Section, Table
from fcmae.report.grids import GridPicture, colours, draw_grid
from fcmae.report.record import Record
from fcmae.storage.tensor_files import read_tensors
from fcmae.studies.reconstruction import ENCODERS, Setting
from fcmae.studies.reconstruction.claims import RULE, by_setting, comparisons
from fcmae.studies.results import Row, in_words, series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS, RECONSTRUCTIONS = "settings", "reconstructions.safetensors"
ERRORS = (
    "Left: how far the prediction is from masked pixels, on images that were not trained on, in "
    "units of pixels from 0 to 1. The larger what is masked together, the further the nearest "
    "visible pixel, and the harder the task. Middle: with the same encoder’s features of whole "
    "images, how often an image’s class is not among the first five by the vote of its 20 nearest "
    "neighbours; fewer is better, and guessing among {classes} classes would fail {chance} of the "
    "time. Right: one against the other, each point a mask size. If what makes reconstruction easy "
    "made features bad, the points would fall from the upper left to the lower right. Lines are "
    "means over the seeds, bands one standard deviation.",
    "The paper shows its figure without numbers, so its claims are compared in words below.",
)
PICTURES = (
    "Images that were not trained on; what is grey was masked. Reconstructions are shown where the "
    "image is masked, and the image itself elsewhere. The paper sees blocks in what a Transformer "
    "fills in, and smooth surfaces in what a ConvNeXt does.",
)
CHOSEN = (
    "The paper gives the encoders’ kind, depth, kernel and size, the mask sizes and ratio, the "
    "epochs and the classifier. All else is chosen here: images are cut into positions of "
    "{stem_stride}x{stem_stride} pixels, whatever the mask size, and one linear layer turns a "
    "position’s pixels, and which of them are masked, into channels; the encoder keeps all "
    "positions, and one linear layer turns each into pixels again. So only the mask differs from "
    "one mask size to the next, and only the encoder from one encoder to the next. ConvNeXt "
    "without GRN is a block of V2 that lacks it, without LayerScale.",
)


MEASURES = {  # heading, name, factor, digits
    "MSE × 1000": ("mse", 1000, 2),
    "top-5 error, %": ("top_5_error", 100, 2),
    "top-1 error, %": ("top_1_error", 100, 2),
    "diversity": ("diversity", 1, 3),
}
SHOWN = 2  # pictures side by side


def write_page(record: Record) -> None:
    """Write the figures and the page of all rows so far."""
    folder, scale, rows = record.path.parent, record.run["settings"], record.rows
    good = [row for row in rows if not row.get("unstable")]
    found = comparisons(rows)
    said = [f"{one.paper}. Here: {one.here}: {one.verdict}." for one in found]
    nothing = ["The encoders that the paper compares are not both measured yet."]
    sections = [Section("What the paper claims", [*(said or nothing), RULE])]
    if good:
        chance = accuracy(1 - 5 / scale["classes"])
        sections += [
            Section(
                "Error and representation (figure 5)",
                [text.format(chance=chance, **scale) for text in ERRORS],
                save(errors(good), folder),
                "errors of reconstruction and of neighbours by mask size, as in the table",
                table(rows),
            ),
            pictures_section(folder, good),
        ]
    sections.append(Section("What was chosen", [text.format(**scale) for text in CHOSEN]))
    title, kind = "Understanding feature collapse", "The paper’s figures 4 and 5, done again"
    shows = [f"{one.paper}: {one.verdict}." for one in found]
    findings.write_page(folder / "page.html", Page(kind, title, shows, sections), record.run)


def table(rows: Sequence[Row]) -> Table:
    """Means over the seeds, with one standard deviation where there are several."""
    columns = [
        (by_setting(rows, name, factor), digits) for name, factor, digits in MEASURES.values()
    ]
    lines = [
        (
            f"{ENCODERS[name].label}, {size} px",
            *(in_words([*column[name][size].values()], digits) for column, digits in columns),
            str(len(seeds)),
        )
        for name, sizes in columns[0][0].items()
        for size, seeds in sizes.items()
    ]
    unstable = [
        f"{row['encoder']}, mask size {row['mask_size']}, seed {row['seed']}: the loss or the "
        f"gradient stopped being a number at step {row['unstable']['step']}."
        for row in rows
        if row.get("unstable")
    ]
    return Table(
        ("encoder, mask size", *MEASURES, "seeds"),
        lines,
        "Diversity is the feature cosine distance of the last block’s output: 0 if all channels "
        "say the same, 0.5 if they are unrelated. " + " ".join(unstable),
    )


def errors(rows: Sequence[Row]) -> "Figure":
    """Figure 5: both errors over the mask size, and one against the other; means over seeds."""
    sizes = sorted({row["mask_size"] for row in rows})
    panels = [
        Panel(
            title,
            "mask size (pixels)",
            tuple(map(str, sizes)),
            tuple(
                series(ENCODERS[name].label, [[*found.get(size, {}).values()] for size in sizes])
                for name, found in by_setting(rows, measure, factor).items()
            ),
            from_zero,
        )
        for title, measure, factor, from_zero in (
            ("mean squared error of masked pixels", "mse", 1, True),
            ("top-5 error of 20 neighbours (%)", "top_5_error", 100, False),
        )
    ]
    figure = draw_figure(Chart([[*panels, Panel("one against the other", "mean squared error")]]))
    left, middle, right = figure.axes
    right.set_xscale("linear")  # with ticks again, which an empty panel has none of
    right.autoscale()
    for line, other in zip(left.get_lines(), middle.get_lines(), strict=True):
        across, up = (np.asarray(one.get_ydata(), float) for one in (line, other))
        right.scatter(across, up, s=20, color=line.get_color(), marker=str(line.get_marker()))
        for size, x, y in zip(sizes, across, up, strict=True):
            if np.isfinite(x):
                right.annotate(
                    str(size), (x, y), (3, 3), textcoords="offset points", fontsize=7, color=INK
                )
    return figure


def pictures_section(folder: Path, rows: Sequence[Row]) -> Section:
    """The pictures of each encoder's and mask size's first seed."""
    pictures = {}
    for row in sorted(rows, key=lambda row: row["seed"], reverse=True):
        setting = Setting(row["encoder"], row["mask_size"], row["seed"])
        path = folder / SETTINGS / setting.name / RECONSTRUCTIONS
        pictures[setting.encoder, setting.mask_size] = read_tensors(path).tensors
    save(reconstructions(pictures), folder, "reconstructions")
    drawn = (folder / "reconstructions.png").read_bytes()  # browsers blur the pixels of an SVG
    alternative = "images, what was masked of them, and each encoder’s reconstruction"
    return Section("Reconstructions (figure 4)", PICTURES, drawn, alternative)


def reconstructions(pictures: Mapping[tuple[str, int], Mapping[str, Tensor]]) -> "Figure":
    """Figure 4: for each mask size what was masked, and what each encoder puts there.

    Args:
        pictures: as of `evaluation.reconstruct`, by encoder and mask size; of each size, any
            encoder's has the same masks.
    """
    names = [name for name in ENCODERS if any(name == encoder for encoder, _ in pictures)]
    sizes = sorted({size for _, size in pictures})
    rows = []
    for size in sizes:
        of_size = {name: pictures[name, size] for name in names if (name, size) in pictures}
        any_of = next(iter(of_size.values()))
        row: list[GridPicture | None] = []
        for number in range(SHOWN):
            row += [colours(any_of[what][number]) for what in ("original", "masked")]
            made = (of_size.get(name) for name in names)
            row += [colours(one["reconstruction"][number]) if one else None for one in made]
        rows.append(row)
    heads = ("original", "masked", *(ENCODERS[name].label for name in names))
    return draw_grid(rows, heads * SHOWN, [f"{size} px" for size in sizes])
