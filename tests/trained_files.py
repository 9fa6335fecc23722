"""Classifiers and images on the disk, and what a classifier says of an image, step by step."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fcmae.images import decode, evaluation_crop
from fcmae.models.classifier import Classifier, create_model
from fcmae.storage.atomic import save_tensors

SIZE = (32, 40)
CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")


def save_classifier(
    path: Path, *, in_channels: int = 3, classes: tuple[str, ...] = CLASSES, described: bool = True
) -> Classifier:
    """Write a tiny classifier of random weights, as fine-tuning would, or without a description."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = create_model(
            "convnextv2_atto",
            num_classes=len(classes),
            in_channels=in_channels,
            stem_stride=1,
            head_init=5.0,  # so that images differ in their logits
        ).eval()
    description = {
        "model": "convnextv2_atto",
        "in_channels": in_channels,
        "stem_stride": 1,
        "num_classes": len(classes),
        "classes": classes,
        "image_size": SIZE,
        "mean": [0.4 + channel / 100 for channel in range(in_channels)],
        "std": [0.2 + channel / 100 for channel in range(in_channels)],
    }
    save_tensors(path, classifier.state_dict(), description if described else None)
    return classifier


def save_image(path: Path, seed: int, channels: int = 3) -> Path:
    """Write an array of coloured noise, whose sides and look depend on the seed."""
    noise = np.random.default_rng(seed)
    low = noise.uniform(0, 255, (5 + seed % 3, 6, channels)).repeat(9, 0).repeat(7, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, low.astype(np.uint8))
    return path


@torch.no_grad()
def logits_of(classifier: Classifier, path: Path, size: tuple[int, int] = SIZE) -> Tensor:
    """[K], from one image alone."""
    return classifier(pixels_of(classifier, path, size))[0]


def pixels_of(classifier: Classifier, path: Path, size: tuple[int, int] = SIZE) -> Tensor:
    """[1, C, H, W], as `save_classifier` describes it."""
    channels = torch.arange(classifier.in_channels).view(-1, 1, 1) / 100
    crop = evaluation_crop(decode(path, classifier.in_channels), size)
    return ((crop - 0.4 - channels) / (0.2 + channels))[None]
