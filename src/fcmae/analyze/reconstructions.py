"""Images reconstructed under masks of any kind, ratio and patch size (figure 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fcmae.analyze.analysis import Column, open_record, publish, start, table_of
from fcmae.analyze.images import open_pictures
from fcmae.analyze.masks import BOXES, KINDS, RANDOM, block_mask, box_mask, parse_box
from fcmae.analyze.models import AnalyzedAutoencoder, read_autoencoders
from fcmae.commands.analyze import Reconstruct
from fcmae.commands.shared import parse_image_size
from fcmae.console.units import percent
from fcmae.errors import unknown
from fcmae.images.fixed_images import Pictures
from fcmae.models.masks import check_patch_size, enlarge, patch_grid, random_mask
from fcmae.pretraining.reconstructions import GREY, reconstruct
from fcmae.report.findings import Finding
from fcmae.report.grids import GridPicture, colours, draw_grid
from fcmae.report.record import Row
from fcmae.training.devices import Runtime

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
MASKS = {
    "random": "Patches are masked at random, as in training.",
    "block": "Rectangles of patches are masked, so that what is hidden is far from what is seen.",
    "boxes": "Every patch that a box touches is masked, also where the box covers a part of it.",
}
COLUMNS: Mapping[str, Column] = {
    "patch size": ("patch_size", str),
    "mask ratio": ("mask_ratio", "{:g}".format),
    "patches masked": ("masked_share", percent),
    "loss": ("loss", "{:.4f}".format),
    "pixel error": ("pixel_error", "{:.4f}".format),
}


@dataclass(frozen=True, slots=True)
class Masking:
    """One way in which all images are masked, and what models make of them."""

    patch_size: int
    ratio: float | None  # None: boxes
    mask: Tensor  # bool [B, h, w]
    reconstructions: Sequence[Tensor]  # of each model [B, C, H, W]
    rows: Sequence[Row]  # of each model

    @property
    def share(self) -> str:
        """The ratio, and the share that is masked, since patches are whole; "" for boxes."""
        masked = percent(self.rows[0]["masked_share"])
        return "" if self.ratio is None else f"ratio {self.ratio:g} ({masked} masked)"

    @property
    def words(self) -> str:
        """How images are masked, as a part of a sentence."""
        at_ratio = f" at {self.share}" if self.share else ""
        return f"with patches of {self.patch_size} pixels{at_ratio}"


def run_reconstruct(options: Reconstruct) -> Path:
    """Run `analyze reconstruct` with these options."""
    runtime = start("reconstruct", options.device, options.precision)
    check_options(options)
    models = read_autoencoders(options.weights)
    size = models[0].image_size
    if options.image_size is not None:
        size = parse_image_size(options.image_size)
    patch_sizes = [*dict.fromkeys(options.patch_sizes)] or [models[0].autoencoder.patch_size]
    for patch_size in patch_sizes:
        for model in models:
            check_patch_size(patch_size, model.autoencoder.encoder.stride)
        patch_grid(*size, patch_size)
    ratios: list[float | None] = [*dict.fromkeys(options.mask_ratios)] or [models[0].mask_ratio]
    if options.mask == BOXES:
        ratios = [None]
    pictures = open_pictures(options, shared_channels(models), size)
    images = torch.stack(pictures.images)  # [B, C, H, W]
    masks = [
        (patch_size, ratio, draw_mask(options, patch_size, ratio, len(images), size))
        for patch_size in patch_sizes
        for ratio in ratios
    ]
    shown = {"images": pictures.names, "image size": size, "mask": options.mask}
    source = {"boxes": options.boxes} if options.mask == BOXES else {"seed": options.seed}
    facts = {**shown, "precision": runtime.precision, **source}
    record = open_record("reconstruct", options.out, runtime, facts)
    maskings = []
    for patch_size, ratio, mask in masks:
        made = [complete(model, images, mask, patch_size, runtime) for model in models]
        settings = {
            "patch_size": patch_size,
            "mask_ratio": ratio,
            "mask": options.mask,
            **source,
            "images": pictures.names,
            "image_size": size,
            "precision": runtime.precision,
        }
        share = mask.float().mean().item()
        rows = [
            {**model.facts, "settings": settings, "masked_share": share, **errors}
            for model, (_, errors) in zip(models, made, strict=True)
        ]
        for row in rows:
            record.add(row)
        maskings.append(Masking(patch_size, ratio, mask, [pixels for pixels, _ in made], rows))
    return publish(record, page(options.mask, models, pictures, maskings), {})


def check_options(options: Reconstruct) -> None:
    """Refuse an unknown kind of mask, and options that it has no use for."""
    if options.mask not in KINDS:
        raise unknown("mask", options.mask, KINDS)
    if options.mask == BOXES and options.mask_ratios:
        raise ValueError("mask_ratios: the boxes say what is masked: leave it out")
    if options.mask != BOXES and options.boxes:
        raise ValueError(f"boxes: mask {options.mask!r} draws its own: give --mask boxes")


def shared_channels(models: Sequence[AnalyzedAutoencoder]) -> int:
    """The number of channels of the images that all models take."""
    found = sorted({model.autoencoder.encoder.in_channels for model in models})
    if len(found) > 1:
        raise ValueError(
            f"weights: runs on images of {' and '.join(map(str, found))} channels cannot see the "
            "same ones: give runs on images of as many"
        )
    return found[0]


def draw_mask(
    options: Reconstruct, patch_size: int, ratio: float | None, number: int, size: tuple[int, int]
) -> Tensor:
    """The mask of so many images of a size, bool [B, h, w].

    Args:
        options: the kind of mask, its boxes or seed.
        patch_size: pixels a side.
        ratio: share of the patches to mask; None: those that boxes touch.
        number: of images.
        size: their height and width.
    """
    if ratio is None:
        boxes = [parse_box(text) for text in options.boxes]
        return box_mask(boxes, size, patch_size).expand(number, -1, -1)
    draw = random_mask if options.mask == RANDOM else block_mask
    generator = torch.Generator().manual_seed(options.seed)
    return draw(number, patch_grid(*size, patch_size), ratio, generator)


@torch.no_grad()
def complete(
    model: AnalyzedAutoencoder, images: Tensor, mask: Tensor, patch_size: int, runtime: Runtime
) -> tuple[Tensor, Row]:
    """Images [B, C, H, W] in 0..1 as the model completes them, and how far off it is.

    Raises:
        ValueError: if it predicts values that are not numbers.
    """
    autoencoder = model.autoencoder.to(runtime.device)
    autoencoder.patch_size = patch_size  # of masks alone: the model predicts cells
    normalised, where = (
        ((images - model.mean) / model.std).to(runtime.device),
        mask.to(runtime.device),
    )
    with runtime.autocast():
        loss = autoencoder(normalised, where).loss.item()
        completed = reconstruct(autoencoder, normalised, where).float().cpu()
    autoencoder.cpu()
    if not completed.isfinite().all():
        raise ValueError(
            f"weights {model.weights}: predictions are not numbers; try --precision fp32, or check "
            "the weights with fcmae doctor"
        )
    pixels = completed * model.std + model.mean
    hidden = enlarge(mask, patch_size).unsqueeze(1).expand_as(images)
    error = (pixels.clamp(0, 1) - images)[hidden].square().mean().item()
    return pixels, {"loss": loss, "pixel_error": error}


def page(
    kind: str,
    models: Sequence[AnalyzedAutoencoder],
    pictures: Pictures,
    maskings: Sequence[Masking],
) -> Finding:
    """What is shown: a row for each image and patch size, a group of columns for each ratio."""
    by_patch_size: dict[int, list[Masking]] = {}
    for masking in maskings:
        by_patch_size.setdefault(masking.patch_size, []).append(masking)
    columns = ["image"]
    for masking in next(iter(by_patch_size.values())):
        columns += [masking.share or kind, *(model.label for model in models)]
    rows, names = [], []
    for index, (name, image) in enumerate(zip(pictures.names, pictures.images, strict=True)):
        for patch_size, same in by_patch_size.items():
            shown = [picture for masking in same for picture in pictures_of(image, masking, index)]
            rows.append([colours(image), *shown])
            names.append(f"{name} · patches of {patch_size} pixels")
    table_rows = [
        (model.title, row["settings"] | row)
        for masking in maskings
        for model, row in zip(models, masking.rows, strict=True)
    ]
    return Finding(
        kind="Masked images, and what a model makes of them",
        title="Reconstructions",
        shows=[*(summary(model.title, i, maskings) for i, model in enumerate(models)), PAPER],
        figure=draw_grid(rows, columns, names),
        alternative="images, what the models see of them, and their reconstructions",
        reading=[" ".join([MASKS[kind], *touched(maskings)]), *READING],
        table=table_of("model", table_rows, COLUMNS),
    )


def pictures_of(image: Tensor, masking: Masking, index: int) -> list[GridPicture]:
    """What is visible of an image, and each model's reconstruction."""
    hidden = enlarge(masking.mask[index : index + 1], masking.patch_size)  # [1, H, W]
    masked = image.masked_fill(hidden, GREY)
    return [colours(masked), *(colours(pixels[index]) for pixels in masking.reconstructions)]


def touched(maskings: Sequence[Masking]) -> list[str]:
    """Which patches boxes mask, a sentence for each patch size; none for other masks."""
    sentences = []
    for masking in maskings:
        if masking.ratio is None:
            mask = masking.mask[0]
            patches = ", ".join(f"{row}/{column}" for row, column in mask.nonzero().tolist())
            sentences.append(
                f"Of {mask.shape[0]} x {mask.shape[1]} patches of {masking.patch_size} pixels "
                f"these are masked (row/column from 0): {patches}."
            )
    return sentences


def summary(title: str, number: int, maskings: Sequence[Masking]) -> str:
    """A model's loss under the first mask and under that which is the hardest for it."""
    first, hardest = maskings[0], max(maskings, key=lambda one: float(one.rows[number]["loss"]))
    sentence = f"{title}: a loss of {first.rows[number]['loss']:.3f} {first.words}"
    if hardest is not first:
        sentence += f", and at most {hardest.rows[number]['loss']:.3f}, {hardest.words}"
    return f"{sentence}."
