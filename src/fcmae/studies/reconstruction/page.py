"""The page of the study: both figures, the numbers, and the paper's claims beside them."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from fcmae.console.units import accuracy
from fcmae.findings.figures import save
from fcmae.findings.page import Page, Section, Table, write_page
from fcmae.findings.record import Record, Row
from fcmae.storage.tensor_files import read_tensors
from fcmae.studies.reconstruction import figures
from fcmae.studies.reconstruction.claims import RULE, Claim, by_setting, claims
from fcmae.studies.reconstruction.recipe import ENCODERS
from fcmae.studies.reconstruction.training import Setting

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


def write_findings(record: Record) -> Path:
    """Write the figures and the page of all rows so far; return the page's path."""
    folder, run, rows = record.path.parent, record.run, record.rows
    good = [row for row in rows if not row.get("unstable")]
    found = claims(rows)
    sections = [_claims_section(found)]
    if good:
        drawn = save(figures.errors(good), folder)
        classes = run["settings"]["classes"]
        reading = [
            text.format(classes=classes, chance=accuracy(1 - 5 / classes)) for text in ERRORS
        ]
        alternative = "errors of reconstruction and of neighbours by mask size, as in the table"
        sections += [
            Section(
                "Error and representation (figure 5)", reading, drawn, alternative, table(rows)
            ),
            _pictures_section(folder, good),
        ]
    chosen = [text.format(**run["settings"]) for text in CHOSEN]
    sections.append(Section("What was chosen", chosen))
    page = Page(
        kind="The paper’s figures 4 and 5, done again",
        title="Understanding feature collapse",
        shows=[f"{claim.paper}: {claim.verdict}." for claim in found],
        sections=sections,
    )
    return write_page(folder / "page.html", page, run)


def table(rows: Sequence[Row]) -> Table:
    """Means over the seeds, with one standard deviation where there are several."""
    measures = {
        name: by_setting(rows, name) for name in ("mse", "top_5_error", "top_1_error", "diversity")
    }
    lines = [
        (
            f"{ENCODERS[name].label}, {size} px",
            _spread([1000 * value for value in measures["mse"][name][size]]),
            _spread([100 * value for value in measures["top_5_error"][name][size]]),
            _spread([100 * value for value in measures["top_1_error"][name][size]]),
            _spread(measures["diversity"][name][size], digits=3),
            str(len(measures["mse"][name][size])),
        )
        for name, sizes in measures["mse"].items()
        for size in sizes
    ]
    unstable = [
        f"{row['encoder']}, mask size {row['mask_size']}, seed {row['seed']}: the loss or the "
        f"gradient stopped being a number at step {row['unstable']['step']}."
        for row in rows
        if row.get("unstable")
    ]
    return Table(
        (
            "encoder, mask size",
            "MSE × 1000",
            "top-5 error, %",
            "top-1 error, %",
            "diversity",
            "seeds",
        ),
        lines,
        "Diversity is the feature cosine distance of the last block’s output: 0 if all channels "
        "say the same, 0.5 if they are unrelated. " + " ".join(unstable),
    )


def _spread(values: Sequence[float], digits: int = 2) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def _claims_section(found: Sequence[Claim]) -> Section:
    said = [f"{claim.paper}. Here: {claim.here}: {claim.verdict}." for claim in found]
    nothing = ["The encoders that the paper compares are not both measured yet."]
    return Section("What the paper claims", [*(said or nothing), RULE])


def _pictures_section(folder: Path, rows: Sequence[Row]) -> Section:
    """The pictures of each encoder's and mask size's first seed."""
    pictures = {}
    for row in sorted(rows, key=lambda row: row["seed"], reverse=True):
        setting = Setting(row["encoder"], row["mask_size"], row["seed"])
        path = folder / SETTINGS / setting.name / RECONSTRUCTIONS
        pictures[setting.encoder, setting.mask_size] = read_tensors(path).tensors
    save(figures.reconstructions(pictures), folder, "reconstructions")
    drawn = (folder / "reconstructions.png").read_bytes()  # browsers blur the pixels of an SVG
    alternative = "images, what was masked of them, and each encoder’s reconstruction"
    return Section("Reconstructions (figure 4)", PICTURES, drawn, alternative)
