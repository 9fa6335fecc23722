"""Autoencoders of pre-training runs, with the decoder, which only their checkpoints have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fcmae.analyze.models import labels_of
from fcmae.models.autoencoder import Autoencoder, create_autoencoder
from fcmae.models.responses import USUAL
from fcmae.storage.digest import digest
from fcmae.training import checkpoint
from fcmae.training.run_folder import CONFIG, read_config, require_finished


@dataclass(frozen=True, slots=True)
class Pretrained:
    """An autoencoder in evaluation mode, on the processor, and what it was trained on."""

    label: str
    weights: str
    digest: str
    autoencoder: Autoencoder
    image_size: tuple[int, int]
    mask_ratio: float
    mean: torch.Tensor  # [C, 1, 1]
    std: torch.Tensor

    @property
    def title(self) -> str:
        """What figures call it."""
        return f"{self.label} ({self.autoencoder.encoder.model})"

    @property
    def facts(self) -> dict[str, Any]:
        """What every row of it begins with."""
        return {
            "label": self.label,
            "weights": self.weights,
            "model": self.autoencoder.encoder.model,
            "digest": self.digest,
        }


def read_autoencoders(weights: tuple[str, ...]) -> list[Pretrained]:
    """Read the last checkpoints of pre-training runs.

    Raises:
        ValueError: if one is not the folder of such a run, or has no checkpoint yet.
    """
    paths = [str(Path(path).expanduser()) for path in weights]
    return [_read(path, label) for path, label in zip(paths, labels_of(paths), strict=True)]


def _read(path: str, label: str) -> Pretrained:
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
    values = digest(name.encode() + value.numpy().tobytes() for name, value in state.items())
    autoencoder = autoencoder.requires_grad_(False).eval()
    return Pretrained(label, path, values, autoencoder, (height, width), ratio, mean, std)
