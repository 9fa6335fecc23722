"""The models of an analysis: read, told apart, and a V1 compared with a V2."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from fcmae.commands.shared import Reading
from fcmae.inference.load import load_backbone
from fcmae.inference.loop import Preprocessing, choose_preprocessing
from fcmae.models.autoencoder import Autoencoder, create_autoencoder
from fcmae.models.encoder import Backbone
from fcmae.models.responses import USUAL
from fcmae.probes.blocks import blocks_of
from fcmae.report.record import Row
from fcmae.sizes import is_v2
from fcmae.storage.digest import digest
from fcmae.training import checkpoint
from fcmae.training.run_folder import CONFIG, read_config, require_finished
from fcmae.weights import FILE

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class AnalyzedModel:
    """What rows and figures say of a model."""

    label: str  # no two models of an analysis share one
    weights: str
    architecture: str
    digest: str  # of its values

    @property
    def title(self) -> str:
        """What figures call it."""
        return f"{self.label} ({self.architecture})"

    @property
    def facts(self) -> Row:
        """What every row of it begins with."""
        return {
            "label": self.label,
            "weights": self.weights,
            "model": self.architecture,
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True)
class AnalyzedBackbone(AnalyzedModel):
    """A backbone in evaluation mode, on the processor."""

    backbone: Backbone
    preprocessing: Preprocessing

    @property
    def blocks(self) -> list[str]:
        """The names of all blocks, in order."""
        return [name for stage in range(4) for name, _ in blocks_of(self.backbone, stage)]

    @property
    def settings(self) -> Row:
        """How it reads images, as JSON has it: what is measured depends on it."""
        return {
            "image_size": list(self.preprocessing.size),
            "mean": list(self.preprocessing.mean),
            "std": list(self.preprocessing.std),
        }


@dataclass(frozen=True, slots=True)
class AnalyzedAutoencoder(AnalyzedModel):
    """An autoencoder in evaluation mode, on the processor, and what it was trained on."""

    autoencoder: Autoencoder
    image_size: tuple[int, int]
    mask_ratio: float
    mean: Tensor  # [C, 1, 1]
    std: Tensor


@dataclass(frozen=True, slots=True)
class Result:
    """What an analysis found of a model."""

    model: AnalyzedModel


AnyResult = TypeVar("AnyResult", bound=Result)


def read_backbones(
    weights: Sequence[str | Path], options: Reading, device: torch.device
) -> list[AnalyzedBackbone]:
    """Read all models at first, so that what is wrong with one is said at once.

    V1 comes before V2, so that it is red in figures and V2 blue, as in the paper.

    Raises:
        ValueError: if there are none, one is given twice, or one cannot be read.
    """
    models = []
    for path, label in labelled(weights):
        require_finished(path)
        backbone, _, description = load_backbone(path, options.key)
        preprocessing = choose_preprocessing(options, backbone, description, device)
        identity = (label, path, backbone.model, _digest(backbone.state_dict()))
        models.append(AnalyzedBackbone(*identity, backbone, preprocessing))
    return sorted(models, key=lambda model: is_v2(model.architecture))


def read_autoencoders(weights: Sequence[str | Path]) -> list[AnalyzedAutoencoder]:
    """Read the last checkpoints of pre-training runs, which alone have the decoder.

    Raises:
        ValueError: if one is not the folder of such a run, or has no checkpoint yet.
    """
    return [_read_autoencoder(path, label) for path, label in labelled(weights)]


def _read_autoencoder(path: str, label: str) -> AnalyzedAutoencoder:
    folder = Path(path)
    if not (folder / CONFIG).is_file():
        raise ValueError(
            f"weights {path} have no decoder: give the folder of a pre-training run, whose "
            "checkpoints have it (weights.safetensors is the encoder alone)"
        )
    config = read_config(folder)
    state = checkpoint.load_model(folder / "checkpoints")
    if state is None:
        raise ValueError(f"weights {path}: the run has no checkpoint yet: let it go on until then")
    require_finished(path)
    if not any(name.startswith("decoder.") for name in state):
        raise ValueError(
            f"weights {path} are of a run that trains no decoder ({config.get('task')}): give one "
            "of masked pre-training"
        )
    try:
        plan = config["plan"]
        recipe = plan["recipe"]
        with torch.device("meta"):
            autoencoder = create_autoencoder(
                plan["model"],
                in_channels=plan["in_channels"],
                patch_size=plan["patch_size"],
                stem_stride=plan["stem_stride"],
                decoder_width=recipe["decoder_width"],
                decoder_depth=recipe["decoder_depth"],
                norm_pix=recipe["norm_pix"],
                response=recipe.get("response", USUAL),
            )
        autoencoder.load_state_dict(state, assign=True)
        height, width = plan["image_size"]
        mean, std = (torch.tensor(plan[name]).view(-1, 1, 1) for name in ("mean", "std"))
        ratio = float(plan["mask_ratio"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"weights {path}: configuration and checkpoint do not fit ({error}): they were changed"
        ) from error
    autoencoder = autoencoder.requires_grad_(False).eval()
    identity = (label, path, plan["model"], _digest(state))
    return AnalyzedAutoencoder(*identity, autoencoder, (height, width), ratio, mean, std)


def _digest(state: Mapping[str, Tensor]) -> str:
    return digest(name.encode() + value.numpy().tobytes() for name, value in state.items())


def labelled(weights: Sequence[str | Path]) -> list[tuple[str, str]]:
    """Each path, and the shortest end that tells it from the others, without what all end in.

    Raises:
        ValueError: if there are none, or one is there twice.
    """
    if not weights:
        raise ValueError("weights: none are given: give a run's folder or a file, or several")
    paths = [Path(path).expanduser() for path in weights]
    parts = [path.absolute().parts for path in paths]
    parts = [part[:-1] if part[-1] == FILE else part for part in parts]
    if len(set(parts)) < len(parts):
        twice = next(path for path, part in zip(paths, parts, strict=True) if parts.count(part) > 1)
        raise ValueError(f"weights {twice} are given twice: give each once")
    while len({part[-1] for part in parts}) == 1 < len(parts):
        parts = [part[:-1] for part in parts]  # "pretrain" says nothing where all are
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    return [(str(path), "/".join(part[-length:])) for path, part in zip(paths, parts, strict=True)]


def v1_and_v2(results: Sequence[AnyResult]) -> tuple[AnyResult, AnyResult] | None:
    """The first V1 and the first V2; None without one of each."""
    versions = {is_v2(result.model.architecture): result for result in reversed(results)}
    return (versions[False], versions[True]) if len(versions) == 2 else None


def thirds(blocks: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    """The first third of the blocks, and the last; one block at least."""
    third = max(len(blocks) // 3, 1)
    return blocks[:third], blocks[-third:]
