"""Several models, read to be compared: what each is called, and how it reads images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fcmae.analyze.comparison import v1_first
from fcmae.commands.shared import Reading
from fcmae.inference.embed import digest
from fcmae.inference.load import load_backbone
from fcmae.inference.loop import Preprocessing, choose_preprocessing
from fcmae.models.encoder import Backbone
from fcmae.probes.blocks import blocks_of
from fcmae.storage.digest import digest
from fcmae.training.run_folder import require_finished
from fcmae.weights import FILE


@dataclass(frozen=True, slots=True)
class Model:
    """A backbone in evaluation mode, on the processor."""

    label: str  # no two models share one
    weights: str
    digest: str  # of the backbone's values
    backbone: Backbone
    preprocessing: Preprocessing

    @property
    def title(self) -> str:
        """What figures call it."""
        return f"{self.label} ({self.backbone.model})"

    @property
    def blocks(self) -> list[str]:
        """The names of all blocks, in order."""
        return [name for stage in range(4) for name, _ in blocks_of(self.backbone, stage)]

    @property
    def facts(self) -> dict[str, Any]:
        """What every row of it begins with."""
        return {
            "label": self.label,
            "weights": self.weights,
            "model": self.backbone.model,
            "digest": self.digest,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """How it reads images, as JSON has it: what is measured depends on it."""
        return {
            "image_size": list(self.preprocessing.size),
            "mean": list(self.preprocessing.mean),
            "std": list(self.preprocessing.std),
        }


def read_models(options: dict[str, Any], device: torch.device) -> list[Model]:
    """Read all of `options["weights"]`, so that what is wrong with one is said at once.

    V1 comes before V2, so that it is red in figures and V2 blue, as in the paper.

    Args:
        options: "weights", "key" and "image_size"; "batch_size" and "workers" where there are some.
        device: where they will compute.

    Raises:
        ValueError: if there are none, one is given twice, or one cannot be read.
    """
    paths = [str(Path(path).expanduser()) for path in options["weights"]]
    models = []
    for path, label in zip(paths, labels_of(paths), strict=True):
        require_finished(path)
        trained = load_backbone(path, options["key"])
        reading = Reading(
            image_size=options["image_size"],
            batch_size=options.get("batch_size", 1),
            workers=options.get("workers", 0),
        )
        preprocessing = choose_preprocessing(reading, trained.backbone, trained.description, device)
        state = trained.backbone.state_dict()
        values = digest(name.encode() + value.numpy().tobytes() for name, value in state.items())
        models.append(Model(label, path, values, trained.backbone, preprocessing))
    return v1_first(models, lambda model: model.backbone.model)


def labels_of(paths: Sequence[str]) -> list[str]:
    """The shortest ends that tell these paths apart, without what all of them end in.

    Raises:
        ValueError: if there are none, or one is there twice.
    """
    if not paths:
        raise ValueError("weights: none are given: give a run's folder or a file, or several")
    parts = [Path(path).absolute().parts for path in paths]
    parts = [part[:-1] if part[-1] == FILE else part for part in parts]
    if len(set(parts)) < len(parts):
        twice = next(path for path, part in zip(paths, parts, strict=True) if parts.count(part) > 1)
        raise ValueError(f"weights {twice} are given twice: give each once")
    while len({part[-1] for part in parts}) == 1 < len(parts):
        parts = [part[:-1] for part in parts]  # "pretrain" says nothing where all are
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    return ["/".join(part[-length:]) for part in parts]


def titled(models: Sequence[Model]) -> Iterator[tuple[Model, str]]:
    """Each model with what the progress bar says of it."""
    for number, model in enumerate(models, 1):
        counted = f"{number} of {len(models)}: " if len(models) > 1 else ""
        yield model, counted + model.label
