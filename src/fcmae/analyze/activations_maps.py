"""What `analyze activations` does: maps of one block's channels, counted and drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fcmae.analyze.activations_page import Shown, write_page
from fcmae.analyze.idle_channels import idle_channels
from fcmae.analyze.image_sets import pictures_of
from fcmae.analyze.models import Model, read_models
from fcmae.errors import unknown
from fcmae.findings.machine import describe_run
from fcmae.findings.record import Record, Row, say_written
from fcmae.images.fixed_images import Pictures
from fcmae.inference.loop import require_one_process
from fcmae.probes.blocks import check_tensor, each_block
from fcmae.training.devices import Place, choose_device, choose_precision, take_place


def run(options: dict[str, Any]) -> Path:
    """Run `analyze activations` with these options."""
    require_one_process("analyze activations")
    out, tensor = Path(options["out"]).expanduser(), options["tensor"]
    if options["channels"] < 1:
        raise ValueError(f"channels {options['channels']}: at least 1 is needed")
    device = choose_device(options["device"])
    precision = choose_precision(options["precision"], device)
    models = read_models(options, device)
    block = block_of(models, options["block"])
    for model in models:
        check_tensor(model.backbone, tensor)
    readings = [model.preprocessing for model in models]
    pictures = [pictures_of(options, each.channels, each.size) for each in readings]
    about = {**describe_run(device), "analysis": "activations", "block": block, "tensor": tensor}
    about |= {"images": pictures[0].names, "precision": precision}
    record = Record(out, about, ("digest", "settings"), same=("analysis",))
    shown = []
    with take_place(device, precision) as place:
        for model, seen in zip(models, pictures, strict=True):
            maps = maps_of(model, seen, block, tensor, place)
            settings = {name: about[name] for name in ("block", "tensor", "images", "precision")}
            row = {**model.facts, "settings": settings | model.settings, **counted(maps)}
            record.add(row)
            shown.append(Shown(model.title, seen, maps, row))
    page = write_page(out, shown, options["channels"], about)
    say_written(page)
    return page


def block_of(models: Sequence[Model], name: str | None) -> str:
    """The block's name in the weights.

    Raises:
        ValueError: if a model has no such block.
    """
    for model in models:
        last = [block for block in model.blocks if block.startswith("stages.2.")][-1]
        if name is None:
            name = last.removeprefix("stages.")
        if f"stages.{name.removeprefix('stages.')}" not in model.blocks:
            known = [block.removeprefix("stages.") for block in model.blocks]
            raise unknown(f"block of {model.title}", name, known)
    assert name is not None
    return f"stages.{name.removeprefix('stages.')}"


def maps_of(model: Model, pictures: Pictures, block: str, tensor: str, place: Place) -> Tensor:
    """The block's maps of all pictures, float32 [B, h, w, C] on the processor.

    Raises:
        ValueError: if one has values that are not numbers.
    """
    mean, std = (
        torch.tensor(values).view(-1, 1, 1)
        for values in (model.preprocessing.mean, model.preprocessing.std)
    )
    backbone = model.backbone.to(place.device)
    maps = []
    for picture in pictures.images:  # one by one: maps of large images are large
        images = ((picture - mean) / std)[None].to(place.device)
        with torch.no_grad(), place.autocast():
            found = each_block(backbone, images, lambda x: x.float().cpu(), tensor, only=block)
            maps.append(found[block])
    backbone.cpu()
    whole = torch.cat(maps)
    if not whole.isfinite().all():
        raise ValueError(
            f"weights: {block} of {model.label} has values that are not numbers; try --precision "
            "fp32, or check the weights with fcmae doctor"
        )
    return whole


def counted(maps: Tensor) -> Row:
    """How many channels there are in all, and how many of them say nothing."""
    idle = idle_channels(maps)
    return {
        "channels": maps.shape[3],
        "dead": int(idle.dead.sum()),
        "saturated": int(idle.saturated.sum()),
    }
