"""Figure and page of `analyze selectivity`, in the form of the paper's figure 2."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcmae.analyze.comparison import pair_of, thirds
from fcmae.analyze.selectivity_measure import GENERIC, SELECTIVE, Measured
from fcmae.analyze.selectivity_verdict import RULE, verdicts
from fcmae.findings.figures import Panel, Series, draw
from fcmae.findings.page import Finding, Table, write_finding
from fcmae.probes.selectivity import density

PLACES = np.linspace(0, 1, 101)
MOST = 12  # panels; of more blocks three a stage are drawn
HEIGHT = 2.2  # inches, of a row of panels
PAPER = (
    "In the paper (appendix C, figure 2: a V1 and a V2 after pre-training, ImageNet’s validation "
    "images) the two match in the early stages and part in the deep ones, as in layer 12 of stage "
    "3: there V1 has one peak, and V2 two, with more channels that are generic to classes."
)
READING = (
    "Each panel is a residual block’s output: stages.2.1 is the second block of the third stage. "
    "To the right are channels that answer to one class alone, with a class selectivity index of "
    "1; to the left those that answer to all alike, 0. The curves are densities over channels, by "
    "normal kernels.",
    "The index is (a − b) / (a + b): a is the largest of a channel’s mean activities by class, b "
    "the mean of those of all other classes. {activity} Channels without any activity have no "
    "index: they are counted as silent, and left out of everything else.",
    "With few images a class, chance alone makes channels look selective: compare an index with "
    "what the same activities give where the images’ classes are shuffled, in the column by "
    "chance.",
)
ACTIVITIES = {
    "rectified": "An activity is the mean over space of max(x, 0), as behind a ReLU, since the "
    "output of a block has both signs.",
    "absolute": "An activity is the mean over space of |x|, since the output of a block has both "
    "signs.",
}
HEADING = (
    "block",
    "channels",
    "silent",
    "mean",
    "median",
    f"below {GENERIC}",
    f"above {SELECTIVE}",
    "by chance",
    "distance",
)


def write_page(out: Path, found: Sequence[Measured], about: Mapping[str, Any]) -> Path:
    """Write `figure.png`, `figure.svg` and `page.html`; return the path of the last."""
    reading = [text.format(activity=ACTIVITIES[about["activity"]]) for text in READING]
    finding = Finding(
        kind="The paper’s figure 2, measured here",
        title="Class selectivity",
        shows=[*says(found), PAPER],
        figure=draw(panels(found), height=HEIGHT),
        alternative="densities of the class selectivity index of blocks, as in the table",
        reading=[*reading, *([RULE] if pair_of(found, _model) else [])],
        table=table(found),
    )
    return write_finding(out, finding, about)


def says(found: Sequence[Measured]) -> list[str]:
    """The paper's statements where they apply, then what models are like in their last third."""
    row = found[0].rows[0]
    left_out = f" ({row['unreadable']} more could not be read)" if row["unreadable"] else ""
    measured = f"Measured on {row['images']:,} images of {row['classes']} classes{left_out}."
    for model in found:
        _, deep = thirds(list(model.indices))
        if len(index := model.together(deep)):
            measured += (
                f" {model.title}: a mean index of {index.mean():.2f} in the last {len(deep)} "
                f"blocks, with {(index < GENERIC).mean():.0%} of the channels below {GENERIC}."
            )
    return [*verdicts(found), measured]


def panels(found: Sequence[Measured]) -> list[list[Panel]]:
    """A panel a block, all of them or three of each stage, four or three in a row."""
    blocks = chosen(list(found[0].indices))
    columns = 4 if len(blocks) % 4 == 0 else 3
    drawn = [
        Panel(
            block,
            "class selectivity index" if number >= len(blocks) - columns else "",
            tuple(PLACES.tolist()),
            tuple(
                Series(model.title, model.title, tuple(density(index, PLACES).tolist()))
                for model in found
                if len(index := model.active(block))
            ),
        )
        for number, block in enumerate(blocks)
    ]
    return [drawn[start : start + columns] for start in range(0, len(drawn), columns)]


def chosen(blocks: Sequence[str]) -> list[str]:
    """All blocks up to twelve; of more, the first, the middle and the last of each stage."""
    if len(blocks) <= MOST:
        return list(blocks)
    stages: dict[str, list[str]] = {}
    for block in blocks:
        stages.setdefault(block.split(".")[1], []).append(block)
    return [
        block
        for stage in stages.values()
        for block in dict.fromkeys((stage[0], stage[len(stage) // 2], stage[-1]))
    ]


def table(found: Sequence[Measured]) -> Table:
    """Every block of every model, those of a block below each other."""
    first = found[0].title
    rows = [_row(model, number) for number in range(len(found[0].rows)) for model in found]
    caption = (
        "Shares and means are of the channels that are not silent. The distance is the Wasserstein "
        f"distance from the distribution of {first} in the same block: the mean way that an index "
        "has to go."
    )
    return Table(HEADING, rows, caption)


def _row(model: Measured, number: int) -> list[str]:
    row = model.rows[number]
    shares = [_shown(row[name], "{:.0%}") for name in (f"below_{GENERIC}", f"above_{SELECTIVE}")]
    return [
        f"{row['block']} · {row['label']}",
        str(row["channels"]),
        str(row["silent"]),
        _shown(row["mean"]),
        _shown(row["median"]),
        *shares,
        _shown(row["mean_by_chance"]),
        _shown(row.get("distance"), "{:.3f}"),
    ]


def _shown(value: float | None, form: str = "{:.2f}") -> str:
    return "" if value is None else form.format(value)


def _model(found: Measured) -> str:
    return found.model
