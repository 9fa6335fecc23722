"""Figures 4 and 5 of the appendix, from the rows and the pictures of the study."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fcmae.findings.figures import INK, PAPER, WIDTH, Panel, Series, draw
from fcmae.studies.reconstruction.claims import Row, by_setting
from fcmae.studies.reconstruction.recipe import ENCODERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    Pictures = Mapping[str, Tensor]  # as of `evaluation.reconstruct`

SHOWN = 2  # pictures side by side
AROUND = 0.35  # inches for the names of the rows and those of the columns


def errors(rows: Sequence[Row]) -> "Figure":
    """Figure 5: both errors over the mask size, and one against the other; means over seeds."""
    mse = by_setting(rows, "mse")
    percent = [{**row, "top_5_error": 100 * row["top_5_error"]} for row in rows]
    sizes = sorted({size for values in mse.values() for size in values})
    panels = [
        Panel(title, "mask size (pixels)", tuple(map(str, sizes)), _series(values, sizes), zero)
        for title, values, zero in (
            ("mean squared error of masked pixels", mse, True),
            ("top-5 error of 20 neighbours (%)", by_setting(percent, "top_5_error"), False),
        )
    ]
    figure = draw([[*panels, Panel("one against the other", "mean squared error", ())]])
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


def reconstructions(pictures: Mapping[tuple[str, int], "Pictures"]) -> "Figure":
    """Figure 4: for each mask size what was masked, and what each encoder puts there.

    Args:
        pictures: of encoders and mask sizes; of each size, any encoder's has the same masks.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    names = [name for name in ENCODERS if any(name == encoder for encoder, _ in pictures)]
    sizes = sorted({size for _, size in pictures})
    heads = ("original", "masked", *(ENCODERS[name].label for name in names))
    columns = SHOWN * len(heads)
    side = (WIDTH - AROUND) / columns
    shape = (WIDTH, side * len(sizes) + 2 * AROUND)
    layout = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    figure = Figure(figsize=shape, layout=layout, facecolor=PAPER)
    grid = figure.subplots(len(sizes), columns, squeeze=False)
    for line, size in zip(grid, sizes, strict=True):
        of_size = {name: pictures[name, size] for name in names if (name, size) in pictures}
        any_of = next(iter(of_size.values()))
        for column, axes in enumerate(line):
            number, what = divmod(column, len(heads))
            shown = any_of if what < 2 else of_size.get(names[what - 2], {})
            image = shown.get(("original", "masked", "reconstruction")[min(what, 2)])
            if image is not None:
                axes.imshow(image[number].permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if axes in grid[0]:
                axes.set_title(heads[what].replace(" with ", "\nwith "), fontsize=7, color=INK)
        line[0].set_ylabel(f"{size} px", fontsize=8, color=INK)
    return figure


def _series(
    values: Mapping[str, Mapping[int, Sequence[float]]], sizes: Sequence[int]
) -> tuple[Series, ...]:
    """A line an encoder, with one standard deviation over the seeds around it."""
    return tuple(
        Series(
            name,
            ENCODERS[name].label,
            tuple(statistics.mean(found[size]) if size in found else None for size in sizes),
            tuple(deviation(found[size]) if size in found else None for size in sizes),
        )
        for name, found in values.items()
    )


def deviation(values: Sequence[float]) -> float:
    """Over the seeds; 0 where there is one."""
    return statistics.stdev(values) if len(values) > 1 else 0.0
