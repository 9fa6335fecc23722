"""Masked pre-training for convolutional networks, on your own images (ConvNeXt V2, FCMAE).

The public names, in the order that data flows. Nothing heavy is imported before a name is used.
"""

import importlib
from typing import TYPE_CHECKING

from fcmae.storage.versions import VERSION

if TYPE_CHECKING:
    from fcmae import analyze, optim, recipes
    from fcmae.commands.embed import embed
    from fcmae.commands.evaluate import evaluate
    from fcmae.commands.finetune import finetune
    from fcmae.commands.predict import predict
    from fcmae.commands.pretrain import pretrain
    from fcmae.commands.probe import probe
    from fcmae.models.autoencoder import create_autoencoder
    from fcmae.models.classifier import create_model
    from fcmae.models.masks import random_mask
    from fcmae.sizes import list_models
    from fcmae.weights import load_weights, save_weights


__version__ = VERSION

_HOMES = {
    "list_models": "fcmae.sizes",
    "create_model": "fcmae.models.classifier",
    "create_autoencoder": "fcmae.models.autoencoder",
    "random_mask": "fcmae.models.masks",
    "pretrain": "fcmae.commands.pretrain",
    "finetune": "fcmae.commands.finetune",
    "evaluate": "fcmae.commands.evaluate",
    "predict": "fcmae.commands.predict",
    "embed": "fcmae.commands.embed",
    "probe": "fcmae.commands.probe",
    "load_weights": "fcmae.weights",
    "save_weights": "fcmae.weights",
}
_MODULES = ("analyze", "optim", "recipes")

__all__ = [
    "analyze",
    "create_autoencoder",
    "create_model",
    "embed",
    "evaluate",
    "finetune",
    "list_models",
    "load_weights",
    "optim",
    "predict",
    "pretrain",
    "probe",
    "random_mask",
    "recipes",
    "save_weights",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"fcmae.{name}")
    raise AttributeError(f"module 'fcmae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
