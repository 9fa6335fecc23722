"""Masked pre-training for convolutional networks, on your own images (ConvNeXt V2, FCMAE).

The public names, in the order that data flows. Nothing heavy is imported before a name is used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcmae import analyze, optim, recipes
    from fcmae.autoencoder import create_autoencoder
    from fcmae.classifier import create_model
    from fcmae.masks import random_mask
    from fcmae.sizes import list_models
    from fcmae.tasks.embed import embed
    from fcmae.tasks.evaluate import evaluate
    from fcmae.tasks.finetune import finetune
    from fcmae.tasks.predict import predict
    from fcmae.tasks.pretrain import pretrain
    from fcmae.tasks.probe import probe
    from fcmae.weights import load_weights, save_weights

__version__ = "0.1.0"

_HOMES = {
    "list_models": "fcmae.sizes",
    "create_model": "fcmae.classifier",
    "create_autoencoder": "fcmae.autoencoder",
    "random_mask": "fcmae.masks",
    "pretrain": "fcmae.tasks.pretrain",
    "finetune": "fcmae.tasks.finetune",
    "evaluate": "fcmae.tasks.evaluate",
    "predict": "fcmae.tasks.predict",
    "embed": "fcmae.tasks.embed",
    "probe": "fcmae.tasks.probe",
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
