"""Channel maps of one block, for a few images and several models (the main paper's figure 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fcmae.analyze.analysis import open_record, publish, start, table_of
from fcmae.analyze.images import open_pictures
from fcmae.analyze.models import AnalyzedBackbone, Result, read_backbones, v1_and_v2
from fcmae.commands.analyze import Activations
from fcmae.commands.shared import Reading
from fcmae.console.units import percent
from fcmae.errors import unknown
from fcmae.images.fixed_images import Pictures
from fcmae.probes.blocks import check_tensor, each_block
from fcmae.report.findings import Finding
from fcmae.report.grids import GridPicture, colours, draw_grid
from fcmae.report.record import Row
from fcmae.report.verdict import Difference, verdict
from fcmae.training.devices import Runtime

DEAD, SATURATED = 0.01, 0.1  # of root mean squares
COLOUR_QUANTILES = (0.01, 0.99)  # of a model's values that have the colours at the ends
MAX_VALUES = 1 << 23  # that PyTorch takes quantiles of, about
MIN_SITES = 16  # fewer are too few to say that a channel never changes
GAP = 1  # sites between two maps
PAPER = (
    "In the main paper (figure 3, on feature collapse) many channels of a V1 that is pre-trained "
    "by masking are dead, saturated or alike, most of all where a block has widened its features."
)
READING = (
    "Each row is an image, and each small map a channel of the block over the image’s sites. "
    "Channels are at even distances, and stand in the same places in each row. Colours are the "
    "same for all maps of a model: dark is the first percentile of its values, yellow the last.",
    f"A channel counts as dead where its root mean square, over all sites of all images shown, is "
    f"below {DEAD:.0%} of that of all the block’s channels together; and as saturated where it is "
    f"not dead, but its deviation over them is below {SATURATED:.0%} of its root mean square: the "
    "same value everywhere, whatever the image.",
)
RULE = (
    "The first V1 and the first V2 are compared: that V2 has fewer dead or saturated channels "
    "counts as reproduced where its share of them is smaller by more than two standard errors over "
    "channels, as not reproduced where it is larger by as much, and as not decidable between, for "
    f"one image, and for fewer than {MIN_SITES} sites in all."
)


@dataclass(frozen=True, slots=True)
class ChannelMaps(Result):
    """A model's maps of all pictures."""

    maps: Tensor  # [B, h, w, C]
    row: Row

    @property
    def idle(self) -> tuple[float, float]:
        """The share of channels that are dead or saturated, and its standard error."""
        channels = self.row["channels"]
        share = (self.row["dead"] + self.row["saturated"]) / channels
        return share, math.sqrt(share * (1 - share) / channels)


def run_activations(options: Activations) -> Path:
    """Run `analyze activations` with these options."""
    runtime = start("activations", options.device, options.precision)
    if options.channels < 1:
        raise ValueError(f"channels {options.channels}: at least 1 is needed")
    one = Reading(key=options.key, image_size=options.image_size, batch_size=1, workers=0)
    models = read_backbones(options.weights, one, runtime.device)
    block = find_block(models, options.block)
    for model in models:
        check_tensor(model.backbone, options.tensor)
    readings = [model.preprocessing for model in models]
    pictures = [open_pictures(options, each.channels, each.size) for each in readings]
    settings = {
        "block": block,
        "tensor": options.tensor,
        "images": pictures[0].names,
        "precision": runtime.precision,
    }
    record = open_record("activations", options.out, runtime, settings)
    results = []
    for model, shown in zip(models, pictures, strict=True):
        maps = maps_of(model, shown, block, options.tensor, runtime)
        dead, saturated = idle_channels(maps)
        row = {**model.facts, "settings": settings | model.settings, "channels": maps.shape[3]}
        row |= {"dead": int(dead.sum()), "saturated": int(saturated.sum())}
        record.add(row)
        results.append(ChannelMaps(model, maps, row))
    pair = v1_and_v2(results)
    statements = compare(*pair) if pair else []
    rows = [(result.model.title, result.row) for result in results]
    columns = [[colours(image) for image in pictures[0].images]]
    columns += [mosaics(result.maps, options.channels) for result in results]
    finding = Finding(
        kind="Channel maps, as in the main paper’s figure 3",
        title=f"Activations of {block}",
        shows=[*statements, summary(results), PAPER],
        figure=draw_grid(
            list(zip(*columns, strict=True)),
            ["", *(model.title for model in models)],
            pictures[0].names,
        ),
        alternative="the images, and beside each of them maps of channels, a model after the other",
        reading=[*READING, *([RULE] if statements else [])],
        table=table_of(
            "model", rows, {name: (name, str) for name in ("channels", "dead", "saturated")}
        ),
    )
    return publish(record, finding, {})


def find_block(models: Sequence[AnalyzedBackbone], name: str | None) -> str:
    """The block's name in the weights; without one, that of the last block of the third stage.

    Raises:
        ValueError: if a model has no such block.
    """
    if name is None:
        name = [block for block in models[0].blocks if block.startswith("stages.2.")][-1]
    short = name.removeprefix("stages.")
    for model in models:
        known = [block.removeprefix("stages.") for block in model.blocks]
        if short not in known:
            raise unknown(f"block of {model.title}", name, known)
    return f"stages.{short}"


def maps_of(
    model: AnalyzedBackbone, pictures: Pictures, block: str, tensor: str, runtime: Runtime
) -> Tensor:
    """The block's maps of all pictures, float32 [B, h, w, C] on the processor.

    Raises:
        ValueError: if one has values that are not numbers.
    """
    mean, std = (
        torch.tensor(values).view(-1, 1, 1)
        for values in (model.preprocessing.mean, model.preprocessing.std)
    )
    backbone = model.backbone.to(runtime.device)
    maps = []
    for picture in pictures.images:  # one by one: maps of large images are large
        images = ((picture - mean) / std)[None].to(runtime.device)
        with torch.no_grad(), runtime.autocast():
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


def idle_channels(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Channels that are close to zero everywhere, and those that are close to another value.

    Dead: root mean square over images and sites below 1 % of that of all channels together.
    Saturated: not dead, and standard deviation below 10 % of the channel's root mean square.

    Args:
        maps: [B, H, W, C].

    Returns:
        Which are dead and which are saturated, bool [C] each, never both.
    """
    values = maps.double().flatten(0, 2)  # [B * H * W, C]
    squares = values.square().mean(0)
    dead = squares <= DEAD**2 * squares.mean()
    return dead, ~dead & (values.var(0, correction=0) < SATURATED**2 * squares)


def compare(v1: ChannelMaps, v2: ChannelMaps) -> list[str]:
    """What the paper's statement comes to."""
    (share_1, error_1), (share_2, error_2) = v1.idle, v2.idle
    few = len(v1.maps) < 2 or v1.maps[..., 0].numel() < MIN_SITES
    fewer = Difference(share_1 - share_2, math.hypot(error_1, error_2)).above
    found = verdict([None if few else fewer])
    return [
        f"V2 has fewer dead or saturated channels than V1: {found} ({percent(share_2)} against "
        f"{percent(share_1)})."
    ]


def summary(results: Sequence[ChannelMaps]) -> str:
    """What was counted."""
    counts = (
        f"{result.model.title}: {result.row['dead']} of {result.row['channels']} channels are dead "
        f"and {result.row['saturated']} saturated."
        for result in results
    )
    return " ".join(counts)


def mosaics(maps: Tensor, number: int) -> list[GridPicture]:
    """Of each image so many channels at even distances, in colours that all of them share."""
    channels = maps.shape[3]
    drawn = min(number, channels)
    some = maps[..., [index * channels // drawn for index in range(drawn)]]
    values = some.flatten().double()[:: max(1, some.numel() // MAX_VALUES)]
    low, high = values.quantile(torch.tensor(COLOUR_QUANTILES, dtype=torch.float64)).tolist()
    return [mosaic(image, (low, high)) for image in some]


def mosaic(maps: Tensor, limits: tuple[float, float]) -> GridPicture:
    """Maps [h, w, C] beside and below each other, as many in a row as rows, if that comes out."""
    height, width, number = maps.shape
    columns = round(np.ceil(np.sqrt(number * height / width)))
    rows = -(-number // columns)
    canvas = torch.full((rows * (height + GAP), columns * (width + GAP)), torch.nan)
    for index in range(number):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = maps[:, :, index]
    return GridPicture(canvas[:-GAP, :-GAP].double().numpy(), limits)
