"""Encoders of random weights and pictures on the disk, small enough to be analysed in a moment."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import fcmae
from fcmae.storage.atomic import save_tensors

SIZE = (32, 40)
MEAN, STD = (0.5, 0.4, 0.6), (0.2, 0.25, 0.3)
ON_CPU: dict[str, Any] = {"device": "cpu", "workers": 0, "batch_size": 3}


def save_model(path: Path, model: str, *, seed: int = 0, **options: Any) -> Path:
    """Write an encoder of random weights that leave no part without effect."""
    torch.manual_seed(seed)
    encoder = fcmae.create_autoencoder(model, stem_stride=1, **options).encoder
    for parameter in encoder.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    described = {
        "model": model,
        "in_channels": encoder.in_channels,
        "stem_stride": 1,
        "response": encoder.response,
        "image_size": SIZE,
        "mean": (MEAN * 5)[: encoder.in_channels],
        "std": (STD * 5)[: encoder.in_channels],
    }
    save_tensors(path, encoder.state_dict(), described)
    return path


def save_picture(path: Path, number: int) -> Path:
    """Coloured waves, whose sides and look depend on the number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: 40 + number % 5, : 52 - number % 7]
    waves = [np.sin(x / (2 + c + number % 4) + y / (3 + number % 6)) for c in range(3)]
    Image.fromarray((127 + 120 * np.stack(waves, -1)).astype(np.uint8)).save(path)
    return path
