"""What `analyze reconstruct` does: images under masks, and what models make of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fcmae.analyze.autoencoders import Pretrained, read_autoencoders
from fcmae.analyze.image_sets import pictures_of
from fcmae.analyze.masks import BOXES, KINDS, RANDOM, block_mask, box_mask, parse_box
from fcmae.analyze.reconstructions_page import Seen, write_page
from fcmae.commands.shared import parse_image_size
from fcmae.errors import unknown
from fcmae.findings.machine import describe_run
from fcmae.findings.record import Record, Row, say_written
from fcmae.inference.loop import require_one_process
from fcmae.models.masks import check_patch_size, enlarge, patch_grid, random_mask
from fcmae.pretraining.reconstructions import reconstruct
from fcmae.training.devices import Place, choose_device, choose_precision, take_place


def run(options: dict[str, Any]) -> Path:
    """Run `analyze reconstruct` with these options."""
    require_one_process("analyze reconstruct")
    out, kind = Path(options["out"]).expanduser(), options["mask"]
    device = choose_device(options["device"])
    precision = choose_precision(options["precision"], device)
    check_options(options)
    models = read_autoencoders(options["weights"])
    first = models[0]
    given = options["image_size"]
    size = first.image_size if given is None else parse_image_size(given)
    ratios = list(dict.fromkeys(options["mask_ratios"])) or [first.mask_ratio]
    patches = list(dict.fromkeys(options["patch_sizes"])) or [first.autoencoder.patch_size]
    for patch in patches:
        for model in models:
            check_patch_size(patch, model.autoencoder.encoder.stride)
        patch_grid(*size, patch)
    pictures = pictures_of(options, same_channels(models), size)
    images = torch.stack(pictures.images)  # [B, C, H, W]
    masks = masks_of(options, patches, ratios, (len(images), *size))
    about = {**describe_run(device), "analysis": "reconstruct", "images": pictures.names}
    about |= {"image size": size, "mask": kind, "precision": precision}
    about |= {"boxes": options["boxes"]} if kind == BOXES else {"seed": options["seed"]}
    record = Record(out, about, ("digest", "settings"), same=("analysis",))
    seen = []
    with take_place(device, precision) as place:
        for (patch, ratio), mask in masks.items():
            made = [reconstructed(model, images, mask, patch, place) for model in models]
            settings = {"patch_size": patch, "mask_ratio": ratio, "mask": kind}
            name = "boxes" if kind == BOXES else "seed"
            settings |= {name: options[name]}
            settings |= {"images": pictures.names, "image_size": size, "precision": precision}
            share = mask.float().mean().item()
            rows = [
                {**model.facts, "settings": settings, "masked_share": share, **errors}
                for model, (_, errors) in zip(models, made, strict=True)
            ]
            for row in rows:
                record.add(row)
            seen.append(Seen(patch, ratio, mask, [picture for picture, _ in made], rows))
    page = write_page(out, pictures, [model.title for model in models], seen, about)
    say_written(page)
    return page


def check_options(options: dict[str, Any]) -> None:
    """Refuse an unknown kind of mask, and options that it has no use for."""
    kind = options["mask"]
    if kind not in KINDS:
        raise unknown("mask", kind, KINDS)
    if kind == BOXES and options["mask_ratios"]:
        raise ValueError("mask_ratios: the boxes say what is masked: leave it out")
    if kind != BOXES and options["boxes"]:
        raise ValueError(f"boxes: mask {kind!r} draws its own: give --mask boxes")


def same_channels(models: Sequence[Pretrained]) -> int:
    """The number of channels of the images that all models take."""
    found = sorted({model.autoencoder.encoder.in_channels for model in models})
    if len(found) > 1:
        raise ValueError(
            f"weights: runs on images of {' and '.join(map(str, found))} channels cannot see the "
            "same ones: give runs on images of as many"
        )
    return found[0]


def masks_of(
    options: dict[str, Any],
    patch_sizes: Sequence[int],
    ratios: Sequence[float],
    shape: tuple[int, int, int],
) -> dict[tuple[int, float | None], Tensor]:
    """The masks bool [B, h, w] by patch size and ratio; boxes have no ratio.

    Args:
        options: "mask", "boxes" and "seed".
        patch_sizes: pixels a side.
        ratios: shares of the patches to mask.
        shape: number of images, their height and width.
    """
    number, height, width = shape
    if options["mask"] == BOXES:
        boxes = [parse_box(text) for text in options["boxes"]]
        return {
            (patch, None): box_mask(boxes, (height, width), patch).expand(number, -1, -1)
            for patch in patch_sizes
        }
    draw = random_mask if options["mask"] == RANDOM else block_mask
    return {
        (patch, ratio): draw(
            number,
            patch_grid(height, width, patch),
            ratio,
            torch.Generator().manual_seed(options["seed"]),
        )
        for patch in patch_sizes
        for ratio in ratios
    }


@torch.no_grad()
def reconstructed(
    model: Pretrained, images: Tensor, mask: Tensor, patch_size: int, place: Place
) -> tuple[Tensor, Row]:
    """Images [B, C, H, W] in 0..1 as the model completes them, and how far off it is.

    Raises:
        ValueError: if it predicts values that are not numbers.
    """
    autoencoder = model.autoencoder.to(place.device)
    autoencoder.patch_size = patch_size  # of masks alone: the model predicts cells
    normalised, where = ((images - model.mean) / model.std).to(place.device), mask.to(place.device)
    with place.autocast():
        loss = autoencoder(normalised, where).loss.item()
        found = reconstruct(autoencoder, normalised, where).float().cpu()
    autoencoder.cpu()
    if not found.isfinite().all():
        raise ValueError(
            f"weights {model.weights}: predictions are not numbers; try --precision fp32, or check "
            "the weights with fcmae doctor"
        )
    pixels = found * model.std + model.mean
    hidden = enlarge(mask, patch_size).unsqueeze(1).expand_as(images)
    error = (pixels.clamp(0, 1) - images)[hidden].square().mean().item()
    return pixels, {"loss": loss, "pixel_error": error}
