"""Masked pre-training for convolutional networks, on your own images (ConvNeXt V2, FCMAE).

The public names, in the order that data flows. Nothing heavy is imported before a name is used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcmae import optim, recipes
    from fcmae.autoencoder import create_autoencoder
    from fcmae.classifier import create_model
    from fcmae.masks import random_mask
    from fcmae.sizes import list_models
    from fcmae.tasks.pretrain import pretrain

__version__ = "0.1.0"

_HOMES = {
    "list_models": "fcmae.sizes",
    "create_model": "fcmae.classifier",
    "create_autoencoder": "fcmae.autoencoder",
    "random_mask": "fcmae.masks",
    "pretrain": "fcmae.tasks.pretrain",
}
_MODULES = ("optim", "recipes")

__all__ = [
    "create_autoencoder",
    "create_model",
    "list_models",
    "optim",
    "pretrain",
    "random_mask",
    "recipes",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"fcmae.{name}")
    raise AttributeError(f"module 'fcmae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
