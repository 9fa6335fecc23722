"""What `embed` does: run the backbone over what is left to do, then write one file."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.commands.embed import Embed
from fcmae.console.screen import say
from fcmae.images import EncodedSet, ImageSet, Labelled, Subset, open_images, open_labelled
from fcmae.inference import feature_files
from fcmae.inference.feature_files import Parts, Rows
from fcmae.inference.outputs import Reading, make_reading, outputs, require_one_process
from fcmae.inference.trained import TrainedBackbone, load_backbone
from fcmae.storage.digest import digest
from fcmae.training.devices import Place, choose_device, choose_precision, take_place

PART = 4096  # images of a part, about: what an interruption may cost
NAMED = 20  # unreadable files on the screen


class Pooled(nn.Module):
    """The global average of a backbone's last stage, [B, C, H, W] -> [B, C_4]."""

    def __init__(self, trained: TrainedBackbone, *, norm: bool) -> None:
        super().__init__()
        self.backbone = trained.backbone
        self.norm = trained.norm if norm else None
        self.width = trained.backbone.widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images to features."""
        pooled = self.backbone.features(images)[-1].mean(dim=(2, 3))
        return pooled if self.norm is None else self.norm(pooled)


def run(options: Embed) -> Path:
    """Run `embed` with these options."""
    require_one_process("embed")
    out = Path(options.out).expanduser().absolute()
    feature_files.check(out, str(options.data), overwrite=options.overwrite)
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    images = open_data(str(options.data), options.split)
    weights = str(Path(options.weights).expanduser())
    trained = load_backbone(weights, options.key)
    if options.norm and trained.norm is None:
        raise ValueError(
            f"norm: weights {weights} have no final norm, as after pre-training: leave --norm out"
        )
    reading = make_reading(
        trained.backbone,
        trained.description,
        image_size=options.image_size,
        batch_size=options.batch_size,
        workers=options.workers,
        device=device,
    )
    if assumed := trained.description.assumption(size_given=options.image_size is not None):
        say(assumed)
    if options.overwrite:
        feature_files.delete(out)
    network = Pooled(trained, norm=options.norm)
    how = {
        "model": trained.backbone.model,
        "image_size": reading.size,
        "mean": reading.mean,
        "std": reading.std,
        "norm": options.norm,
        "batch_size": reading.batch_size,
        "precision": precision,
        "device": device.type,
        "weights": digest(
            name.encode() + value.numpy().tobytes() for name, value in network.state_dict().items()
        ),
    }
    names = (images.name(index) for index in range(len(images)))
    files = digest(name.encode(errors="backslashreplace") + b"\n" for name in names)
    parts = Parts(out, how | {"files": files})
    with take_place(device, precision) as place:
        complete(parts, network.to(place.device), images, reading, place)
    finish(out, parts, images, how | {"weights_path": weights, "data": str(options.data)})
    return out


def open_data(data: str, split: str | None) -> EncodedSet | Labelled:
    """All images, or those of a split, with their labels."""
    where = data if data == "sample" else Path(data).expanduser()
    return open_images(where) if split is None else open_labelled(where, split)


def complete(
    parts: Parts, network: Pooled, images: ImageSet[object], reading: Reading, place: Place
) -> None:
    """Compute the parts that are not there yet."""
    size = reading.batch_size * max(1, PART // reading.batch_size)
    start = min(len(parts) * size, len(images))
    if start:
        say(f"going on after {start} of {len(images)} images")
    if start == len(images):
        return
    nothing = torch.empty(0, network.width)
    features, indices, seen = [nothing], list[int](), start
    unreadable: dict[str, str] = {}
    rest = Subset(images, range(start, len(images)))
    for output in outputs(network, rest, reading, place, title="embedding"):
        if output.indices:
            features.append(output.values)
        indices += [start + index for index in output.indices]
        unreadable |= output.unreadable
        seen += len(output.indices) + len(output.unreadable)
        if seen % size == 0 or seen == len(images):
            parts.append(torch.cat(features), torch.tensor(indices, dtype=torch.int64), unreadable)
            features, indices, unreadable = [nothing], [], {}


def finish(out: Path, parts: Parts, images: ImageSet[object], description: dict[str, Any]) -> None:
    """Make one file of the parts."""
    indices: list[int] = []
    unreadable: dict[str, str] = {}
    for part in parts:
        indices += part.indices
        unreadable |= part.unreadable
    if not indices:
        parts.remove()
        name, reason = next(iter(unreadable.items()))
        raise ValueError(
            f"data: none of the {len(images)} images can be read ({name}: {reason}): give images "
            "that fit the weights"
        )
    labels = None
    if isinstance(images, Labelled):
        labels = [images.classes[images.labels[index]] for index in indices]
    names = [images.name(index) for index in indices]
    feature_files.write(out, parts, Rows(names, labels, unreadable, description))
    parts.remove()
    for name, reason in list(unreadable.items())[:NAMED]:
        say(f"left out: {name}: {reason}")
    if len(unreadable) > NAMED:
        say(f"left out: {len(unreadable) - NAMED} more")
    files = " and ".join(str(path) for path in feature_files.written(out))
    say(f"Wrote {files}: {len(indices)} images")
