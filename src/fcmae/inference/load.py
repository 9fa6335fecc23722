"""Trained networks from run folders and files, with what these say of the images they take."""

import math
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from fcmae.images import IMAGENET_MEAN, IMAGENET_STD
from fcmae.models.classifier import Classifier
from fcmae.models.encoder import Backbone
from fcmae.models.layers import LayerNorm
from fcmae.training.run_folder import CONFIG, read_config
from fcmae.weights import read_weights

M = TypeVar("M", bound=nn.Module)

WANTED = {
    "image_size": "height and width in pixels",
    "mean": "a number for each channel",
    "std": "a positive number for each channel",
    "classes": "a name for each class",
}


@dataclass(frozen=True, slots=True)
class Description:
    """What images a network takes, and what its outputs mean."""

    weights: str
    image_size: tuple[int, int]
    mean: tuple[float, ...]  # empty where neither the weights say it nor ImageNet's would do
    std: tuple[float, ...]
    classes: tuple[str, ...]  # empty without a head
    assumed: tuple[str, ...]  # which of these the weights do not say: "image_size", ...

    def assumption(self, *, size_given: bool = False) -> str | None:
        """What was assumed, in one line; None for nothing."""
        words = {
            "image_size": f"images of {shape(self.image_size)} pixels",
            "mean": "ImageNet's mean",
            "std": "ImageNet's deviation",
            "classes": f"classes 0 to {len(self.classes) - 1} without names",
        }
        if size_given:
            del words["image_size"]
        listed = [text for name, text in words.items() if name in self.assumed]
        if not listed:
            return None
        return f"weights {self.weights} do not say all; assumed: {', '.join(listed)}"


class LoadedBackbone(NamedTuple):
    """A backbone in evaluation mode, and the final norm, where the weights have one."""

    backbone: Backbone
    norm: LayerNorm | None
    description: Description


def load_classifier(path: str | Path, key: str | None = None) -> tuple[Classifier, Description]:
    """Read a classifier in evaluation mode: a run's folder, or a file of any known dialect.

    What the weights do not say is assumed, and named in the description: 224 pixels, ImageNet's
    mean and deviation, and classes called "0", "1", ...

    Args:
        path: the folder or file.
        key: which of several states of a .pth file, such as model_ema.

    Raises:
        ValueError: as `read_weights`; or if the weights have no head, or what they say of
            themselves does not fit together.
    """
    path = str(Path(path).expanduser())
    weights = read_weights(path, key=key)
    architecture = weights.architecture
    if architecture.num_classes is None:
        raise ValueError(
            f"weights {path} have no head, as after pre-training: fine-tune them first, or give "
            "those of a classifier"
        )
    description = _describe(path, weights.description)
    with torch.device("meta"):
        classifier = Classifier(**architecture._asdict())
    return _filled(path, classifier, weights.state), description


def load_backbone(path: str | Path, key: str | None = None) -> LoadedBackbone:
    """Read the backbone of an encoder or a classifier, as `load_classifier` does."""
    path = str(Path(path).expanduser())
    weights = read_weights(path, key=key)
    state = weights.state
    own = {name: state[name] for name in state if not name.startswith(("norm.", "head."))}
    of_norm = {name.removeprefix("norm."): state[name] for name in state if name[:5] == "norm."}
    with torch.device("meta"):
        backbone = Backbone(**weights.architecture.backbone)
        norm = LayerNorm(backbone.widths[-1])
    return LoadedBackbone(
        _filled(path, backbone, own),
        _filled(path, norm, of_norm) if of_norm else None,
        _describe(path, weights.description),
    )


def shape(size: tuple[int, int]) -> str:
    """Height and width, in words."""
    return f"{size[0]} x {size[1]}"


def _filled(path: str, module: M, state: dict[str, Tensor]) -> M:
    try:
        module.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    except RuntimeError as error:
        raise ValueError(f"weights {path} are not whole: {error}") from error
    return module.requires_grad_(False).eval()


def _describe(path: str, stored: dict[str, Any]) -> Description:
    in_channels, num_classes = stored["in_channels"], stored["num_classes"] or 0
    known = {
        name: value for name, value in (_of_run(Path(path)) | stored).items() if value is not None
    }
    usual = {
        "image_size": (224, 224),
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "classes": [str(number) for number in range(num_classes)],
    }
    assumed = tuple(name for name in usual if name not in known and usual[name])
    statistics = in_channels
    if in_channels != 3 and {"mean", "std"} & set(assumed):
        usual |= {"mean": (), "std": ()}  # there is no usual one
        statistics = 0
    known = usual | known | ({} if num_classes else {"classes": []})
    size, mean, std, classes = (known[name] for name in usual)
    fits = {
        "image_size": _are(int, size, 2) and min(size) > 0,
        "mean": _are(int | float, mean, statistics) and all(map(math.isfinite, mean)),
        "std": _are(int | float, std, statistics) and all(0 < each < math.inf for each in std),
        "classes": _are(str, classes, num_classes) and len(set(classes)) == num_classes,
    }
    for name, wanted in WANTED.items():
        if not fits[name]:
            raise ValueError(
                f"weights {path} say {name} {known[name]!r}, which is not {wanted}: they were "
                "changed"
            )
    return Description(path, tuple(size), tuple(mean), tuple(std), tuple(classes), assumed)


def _are(kind: type | UnionType, values: Any, length: int) -> bool:
    """Whether there are so many values, all of this kind."""
    whole = isinstance(values, list | tuple) and len(values) == length
    return whole and all(isinstance(value, kind) for value in values)


def _of_run(folder: Path) -> dict[str, Any]:
    """What a run's configuration says of its images."""
    if not (folder / CONFIG).is_file():
        return {}
    config = read_config(folder)
    statistics = config.get("statistics")
    statistics = statistics if isinstance(statistics, dict) else {}
    return {
        "image_size": config.get("image_size"),
        "mean": statistics.get("mean"),
        "std": statistics.get("std"),
    }
