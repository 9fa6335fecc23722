"""The class selectivity of a model's blocks over a set of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fcmae.analyze.models import Model
from fcmae.findings.record import Row
from fcmae.images import epoch_order
from fcmae.inference.loop import forward_in_order
from fcmae.probes.blocks import each_block
from fcmae.probes.selectivity import ClassMeans, Values, activities, selectivity_index
from fcmae.training.devices import Place

GENERIC, SELECTIVE = 0.2, 0.5  # channels with an index below the one and above the other


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's blocks, in order.

    Attributes:
        title: what figures call the model.
        model: its name.
        rows: what was found, a row a block.
        indices: of every channel, float64 [C] by block; NaN for those that are silent.
    """

    title: str
    model: str
    rows: list[Row]
    indices: Mapping[str, Tensor]

    def active(self, block: str) -> Values:
        """The indices of the channels that are not silent."""
        index = self.indices[block]
        return index[~index.isnan()].numpy()

    def together(self, blocks: Sequence[str]) -> Values:
        """Those of several blocks."""
        return np.concatenate([self.active(block) for block in blocks])


def measure(model: Model, images: Labelled, activity: str, place: Place, title: str) -> Measured:
    """Run a model over images; what is kept does not grow with their number.

    Args:
        model: the model.
        images: with a class each.
        activity: of a channel for an image, as `activities` takes it.
        place: where to compute.
        title: of the progress bar.

    Raises:
        ValueError: if fewer than two classes have images that can be read.
    """
    labels = torch.tensor(images.labels)
    # The same activities under shuffled labels: what chance alone makes of so few images a class.
    shuffled = labels[epoch_order(len(labels), seed=1, epoch=0)]
    names = model.blocks
    widths = [model.backbone.widths[int(name.split(".")[1])] for name in names]
    means, chance = (ClassMeans(len(images.classes), sum(widths)) for _ in range(2))
    backbone = model.backbone.to(place.device)

    def network(pixels: Tensor) -> Tensor:
        found = each_block(backbone, pixels, lambda x: activities(x, activity))
        return torch.cat(list(found.values()), 1)

    unreadable = 0
    for output in forward_in_order(network, images, model.preprocessing, place, title=title):
        unreadable += len(output.unreadable)
        for active in output.tensors:
            means.add(active, labels[output.indices])
            chance.add(active, shuffled[output.indices])
    backbone.cpu()
    counts = means.counts[means.counts > 0]
    indices, by_chance = (  # in the precision that they are kept in
        torch.split(selectivity_index(found.means()).float().double(), widths)
        for found in (means, chance)
    )
    seen = {
        "images": int(counts.sum()),
        "unreadable": unreadable,
        "classes": len(counts),
        "fewest_images_of_a_class": int(counts.min()),
    }
    rows = [
        {"block": name, **seen, **in_numbers(index), "mean_by_chance": _mean(random)}
        for name, index, random in zip(names, indices, by_chance, strict=True)
    ]
    return Measured(model.title, model.backbone.model, rows, dict(zip(names, indices, strict=True)))


def in_numbers(index: Tensor) -> Row:
    """A distribution of indices [C] in a few numbers; shares are of channels that are not silent.

    None for all but the counts where every channel is silent.
    """
    active = index[~index.isnan()]
    counts: Row = {"channels": len(index), "silent": len(index) - len(active)}
    names = ("mean", "median", f"below_{GENERIC}", f"above_{SELECTIVE}")
    if not len(active):
        return counts | dict.fromkeys(names)
    shares = (active < GENERIC).double().mean(), (active > SELECTIVE).double().mean()
    values = (active.mean(), active.quantile(0.5), *shares)
    return counts | {name: value.item() for name, value in zip(names, values, strict=True)}


def _mean(index: Tensor) -> float | None:
    return None if index.isnan().all() else index.nanmean().item()
