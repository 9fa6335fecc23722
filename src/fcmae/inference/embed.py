"""What `embed` does: run the backbone over what is left to do, then write one file."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.commands.embed import Embed
from fcmae.console.screen import say
from fcmae.images import ImageSet, Labelled, Subset, open_images, open_labelled
from fcmae.inference import feature_files
from fcmae.inference.feature_files import Parts, Rows
from fcmae.inference.load import load_backbone
from fcmae.inference.loop import (
    Preprocessing,
    choose_preprocessing,
    forward_in_order,
    pooled,
    require_one_process,
    require_some,
    say_unreadable,
)
from fcmae.models.encoder import Backbone
from fcmae.storage.digest import digest
from fcmae.training.devices import Runtime, choose_device, choose_precision, start_runtime

PART = 4096  # images of a part, about: what an interruption may cost


class Pooled(nn.Module):
    """A backbone's features, behind the final norm if there is one, [B, C, H, W] -> [B, C_4]."""

    def __init__(self, backbone: Backbone, norm: nn.Module | None) -> None:
        super().__init__()
        self.backbone, self.norm = backbone, norm

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images to features."""
        features = pooled(self.backbone, images)
        return features if self.norm is None else self.norm(features)


def run_embed(options: Embed) -> Path:
    """Run `embed` with these options."""
    require_one_process("embed")
    out = Path(options.out).expanduser().absolute()
    data, split = os.path.expanduser(options.data), options.split
    feature_files.check(out, data, overwrite=options.overwrite)
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    images: ImageSet[object] = open_images(data) if split is None else open_labelled(data, split)
    backbone, norm, description = load_backbone(options.weights, options.key)
    weights = description.weights
    if options.norm and norm is None:
        raise ValueError(
            f"norm: weights {weights} have no final norm, as after pre-training: leave --norm out"
        )
    preprocessing = choose_preprocessing(options, backbone, description, device)
    if options.overwrite:
        feature_files.delete(out)
    network = Pooled(backbone, norm if options.norm else None)
    how = {
        "model": backbone.model,
        "image_size": preprocessing.size,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "norm": options.norm,
        "batch_size": preprocessing.batch_size,
        "precision": precision,
        "device": device.type,
        "weights": digest(
            name.encode() + value.numpy().tobytes() for name, value in network.state_dict().items()
        ),
    }
    names = (images.name(index) for index in range(len(images)))
    files = digest(name.encode(errors="backslashreplace") + b"\n" for name in names)
    parts = Parts(out, how | {"files": files})
    with start_runtime(device, precision) as runtime:
        complete(parts, network.to(runtime.device), images, preprocessing, runtime)
    how |= {"weights_path": weights, "data": str(options.data)}
    finish(out, parts, images, how, preprocessing.channels)
    return out


def complete(
    parts: Parts,
    network: Pooled,
    images: ImageSet[object],
    preprocessing: Preprocessing,
    runtime: Runtime,
) -> None:
    """Compute the parts that are not there yet."""
    size = preprocessing.batch_size * max(1, PART // preprocessing.batch_size)
    start = min(len(parts) * size, len(images))
    if start:
        say(f"going on after {start} of {len(images)} images")
    if start == len(images):
        return
    nothing = torch.empty(0, network.backbone.widths[-1])
    features, indices, seen = [nothing], list[int](), start
    unreadable: dict[str, str] = {}
    rest = Subset(images, range(start, len(images)))
    for output in forward_in_order(network, rest, preprocessing, runtime, title="embedding"):
        features += output.tensors
        indices += [start + index for index in output.indices]
        unreadable |= output.unreadable
        seen += len(output.indices) + len(output.unreadable)
        if seen % size == 0 or seen == len(images):
            parts.append(torch.cat(features), torch.tensor(indices, dtype=torch.int64), unreadable)
            features, indices, unreadable = [nothing], [], {}


def finish(
    out: Path, parts: Parts, images: ImageSet[object], how: dict[str, Any], channels: int
) -> None:
    """Make one file of the parts."""
    indices: list[int] = []
    unreadable: dict[str, str] = {}
    for part in parts:
        indices += part.indices
        unreadable |= part.unreadable
    if not indices:
        parts.remove()
    require_some(len(indices), images, unreadable, channels)
    labels = None
    if isinstance(images, Labelled):
        labels = [images.classes[images.labels[index]] for index in indices]
    names = [images.name(index) for index in indices]
    feature_files.write(out, parts, Rows(names, labels, unreadable, how))
    parts.remove()
    say_unreadable(unreadable)
    files = " and ".join(str(path) for path in feature_files.written(out))
    say(f"Wrote {files}: {len(indices)} images")
