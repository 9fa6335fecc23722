"""Weights written from a model, or from a file of another dialect; `convert` as a command too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fcmae.commands.convert import Convert
from fcmae.errors import check_target, unknown
from fcmae.models.responses import USUAL
from fcmae.storage.atomic import save_tensors
from fcmae.weights.dialects import WRITTEN, Dialect, from_ours
from fcmae.weights.load import LoadReport, backbone_of, read_weights
from fcmae.weights.recognition import Architecture, recognise


def save_weights(model: nn.Module, path: str | Path, *, dialect: Dialect = "official") -> None:
    """Write a model's weights; of an autoencoder, the encoder's.

    In the official dialect, with a description in the metadata; the others without, since
    transformers refuses metadata that it does not know. There, `layer_norm_eps` must be set to
    1e-6 in the configuration: it is another by default.

    Args:
        model: a classifier, an encoder or an autoencoder.
        path: a .safetensors file, written whole or not at all.
        dialect: "official", "timm" or "transformers".

    Raises:
        ValueError: if the model is of another kind, path has another ending, or the dialect is
            not written.
        OSError: if the file cannot be written.
    """
    backbone = backbone_of(model)
    state = backbone.state_dict()
    _write(Path(path), state, dialect, recognise(state, backbone.response)._asdict())


def convert(
    source: str | Path, target: str | Path, *, dialect: Dialect, key: str | None = None
) -> LoadReport:
    """Write weights of any dialect in another; values and precision stay as they are.

    Args:
        source: a run's folder, a .safetensors file, or a .pth, .pt or .bin file.
        target: a .safetensors file.
        dialect: "official", "timm" or "transformers".
        key: where in a PyTorch file the weights are, "model_ema" for one.

    Returns:
        What was written and what was left out; nothing is missing.

    Raises:
        ValueError: as `load_weights` and `save_weights`.
        OSError: if the file cannot be written.
    """
    weights = read_weights(source, key=key)
    _write(Path(target), weights.state, dialect, weights.description)
    more = sorted(weights.description.keys() - set(Architecture._fields))
    if dialect == "official" or not more:
        return weights.report
    note = f"these files have no description, so what it said is left out: {', '.join(more)}"
    return replace(weights.report, notes=(*weights.report.notes, note))


def run_convert(options: Convert) -> None:
    """Run `convert` with these options."""
    target = Path(options.target).expanduser()
    if target.is_file() and not options.overwrite:
        raise ValueError(
            f"target {options.target} exists: choose another, or replace it with --overwrite"
        )
    check_target("target", target)
    report = convert(options.source, target, dialect=options.dialect, key=options.key)
    print(report)
    print(f"written     {options.target}")


def _write(
    path: Path, state: dict[str, Tensor], dialect: Dialect, description: dict[str, Any]
) -> None:
    if dialect not in WRITTEN:
        raise unknown("dialect", dialect, WRITTEN)
    if path.suffix != ".safetensors":
        raise ValueError(f"path {path}: weights are written as .safetensors, and as nothing else")
    if dialect != "official" and description["response"] != USUAL:
        raise ValueError(
            f"dialect {dialect}: its models have GRN, not response {description['response']}: "
            "write these weights as official"
        )
    save_tensors(path, from_ours(state, dialect), description if dialect == "official" else None)
