"""Weights from files of any dialect: whole, and put into a model with a report on each of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fcmae.models.autoencoder import Autoencoder
from fcmae.models.classifier import Classifier
from fcmae.models.encoder import Encoder
from fcmae.models.responses import USUAL
from fcmae.storage.tensor_files import read_tensors
from fcmae.weights.dialects import Dialect, detect, few, to_ours
from fcmae.weights.recognition import FINAL, Architecture, check_fit, recognise

FILE = "weights.safetensors"  # of a run's folder
DECODER = ("decoder.", "mask_token", "proj.", "pred.")  # ours, and the authors'


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of each tensor. Names are ours, but for those that are unexpected."""

    loaded: tuple[str, ...]
    reshaped: tuple[str, ...]  # loaded too; their shape was that of another dialect
    missing: tuple[str, ...]  # of the model, not in the file: they stay fresh
    unexpected: tuple[str, ...]  # in the file, not of the model: left out
    dialect: Dialect
    source: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"weights     {self.source} ({self.dialect} names)"]
        for what in ("loaded", "reshaped", "missing", "unexpected"):
            names = getattr(self, what)
            listed = f": {few(names)}" if names and what != "loaded" else ""
            lines.append(f"{what:<12}{len(names):>4}{listed}")
        return "\n".join([*lines, *(f"note        {note}" for note in self.notes)])


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole backbone in our names and shapes, with a norm and a head or without."""

    state: dict[str, Tensor]
    architecture: Architecture
    description: dict[str, Any]  # the architecture, and what else was saved
    report: LoadReport  # on a model that takes all of it


def load_weights(model: nn.Module, path: str | Path, *, key: str | None = None) -> LoadReport:
    """Put weights of any dialect into a model; all or none.

    Args:
        model: a classifier, whose norm and head stay fresh where the file has none, and whose head
            does where the number of classes differs; an encoder; or an autoencoder, whose decoder
            stays fresh.
        path: a run's folder, a .safetensors file, or a .pth, .pt or .bin file.
        key: where in a PyTorch file the weights are, "model_ema" for one.

    Returns:
        What was loaded and what was not; its `str` is a small table.

    Raises:
        ValueError: if the file cannot be read or its weights are of another model.
    """
    backbone = backbone_of(model)
    weights = read_weights(path, key=key)
    broken = [name for name, value in weights.state.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(f"weights {path}: it has values that are not numbers, in {few(broken)}")
    for field in ("model", "in_channels", "stem_stride", "response"):
        theirs, ours = getattr(weights.architecture, field), getattr(backbone, field)
        if theirs != ours:
            both = f"the file is {theirs}, the model {ours}"
            if field != "model":
                both = f"the file is {backbone.model} of {field} {theirs}, the model of {ours}"
            raise ValueError(
                f"weights {path}: {both}; give weights of such a model, or build the file's"
            )
    expected, report, notes = backbone.state_dict(), weights.report, weights.report.notes
    state = {
        name: value
        for name, value in weights.state.items()
        if name in expected or not name.startswith(FINAL)
    }
    unexpected = report.unexpected + tuple(sorted(weights.state.keys() - state.keys()))
    classes = weights.architecture.num_classes
    if isinstance(backbone, Classifier) and classes not in (None, backbone.head.out_features):
        state = {name: value for name, value in state.items() if not name.startswith("head.")}
        notes += (f"the head in the file is of {classes} classes: the model's stays fresh",)
    try:
        check_fit(state, expected)
    except ValueError as error:  # of a model that was changed since it was built
        raise ValueError(f"weights {path} and the model differ: {error}") from error
    backbone.load_state_dict(state, strict=False)
    return replace(
        report,
        loaded=tuple(state),
        reshaped=tuple(name for name in report.reshaped if name in state),
        missing=tuple(sorted(expected.keys() - state.keys())),
        unexpected=unexpected,
        notes=notes,
    )


def backbone_of(model: nn.Module) -> Classifier | Encoder:
    """The part of a model whose weights are loaded and saved."""
    backbone = model.encoder if isinstance(model, Autoencoder) else model
    if not isinstance(backbone, Classifier | Encoder):
        raise ValueError(
            f"model is a {type(model).__name__}: a classifier, an encoder or an autoencoder is "
            "needed, as it was before anything was wrapped around it"
        )
    return backbone


def read_weights(path: str | Path, *, key: str | None = None) -> Weights:
    """Read the weights of a backbone, with a norm and a head where there are some.

    Args:
        path: a run's folder, a .safetensors file, or a .pth, .pt or .bin file, of any dialect.
        key: where in a PyTorch file the weights are, "model_ema" for one.

    Raises:
        ValueError: if the file is absent, damaged, not of a known model, or not whole.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise ValueError(f"weights {path}: there is no file {file}; give a run's folder or a file")
    try:
        tensors, metadata, found_at, others = read_tensors(file, key)
        dialect = detect(tensors)
        state, reshaped, unexpected = to_ours(tensors, dialect)
        if unknown := [name for name in unexpected if not name.startswith(DECODER)]:
            raise ValueError(f"it has unknown {few(unknown)}")
        architecture, description = _described(metadata, state)
    except ValueError as error:
        raise ValueError(f"weights {path}: {error}") from error
    report = LoadReport(
        loaded=tuple(state),
        reshaped=reshaped,
        missing=(),
        unexpected=unexpected,
        dialect=dialect,
        source=f"{file}, {found_at}" if found_at else str(file),
        notes=(f"the file also holds {', '.join(others)}: key chooses",) if others else (),
    )
    return Weights(state, architecture, description, report)


def _described(
    metadata: Mapping[str, str], state: Mapping[str, Tensor]
) -> tuple[Architecture, dict[str, Any]]:
    """The model of a state, and what was saved with it, which must not contradict its shapes."""
    try:
        saved = json.loads(metadata.get("fcmae", "{}"))
    except ValueError as error:
        raise ValueError(f"its description is no JSON ({error}): it was changed") from error
    if not isinstance(saved, dict):
        raise ValueError(f"its description is {saved!r}, not names with values: it was changed")
    architecture = recognise(state, str(saved.get("response", USUAL)))
    found = architecture._asdict()
    for field, value in found.items():
        if saved.get(field, value) != value:
            raise ValueError(
                f"it says {field} {saved[field]!r}, its shapes {value!r}: it was changed"
            )
    return architecture, found | saved
