"""The encoder to examine: fresh, or read from a run or a file and recognised by its shapes."""

import copy
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fcmae.encoder import Encoder
from fcmae.layers import GRN, Block
from fcmae.sizes import SIZES, is_v2

STEM = "downsample_layers.0.0.weight"
SHOWN = 3  # keys that an error names


def fresh_encoder(model: str, seed: int) -> Encoder:
    """An encoder with random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(model)


def load_encoder(path: str) -> Encoder:
    """Read a run's folder, or a .safetensors file in the authors' names; a head is left out.

    Raises:
        ValueError: if there is no such file, it is not a safetensors file, it is of no known
            model, or its keys or shapes do not fit the model.
    """
    folder = Path(path)
    file = folder / "weights.safetensors" if folder.is_dir() else folder
    if not file.is_file():
        raise ValueError(
            f"weights {path}: there is no file {file}; give a run's folder or a .safetensors file"
        )
    try:
        state = load_file(file)
    except SafetensorError as error:
        raise ValueError(
            f"weights {path}: {file} is not a whole safetensors file ({error}); "
            "convert other formats first"
        ) from error
    state = {
        name: value for name, value in state.items() if not name.startswith(("norm.", "head."))
    }
    encoder = _configured(folder) if folder.is_dir() else _recognised(path, state)
    expected = set(encoder.state_dict())
    for what, names in (("lacks", expected - set(state)), ("has unknown", set(state) - expected)):
        if names:
            raise ValueError(f"weights {path}: as {encoder.model}, it {what} {_few(names)}")
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:  # a shape
        raise ValueError(f"weights {path}: as {encoder.model}, {error}") from error
    return encoder


def with_live_branches(encoder: Encoder, seed: int) -> Encoder:
    """A copy in which no branch is off, as with fresh weights: checks would not see errors in it.

    GRN's gamma and beta start at zero, and V1's LayerScale at 1e-6; these are drawn anew.
    """
    encoder = copy.deepcopy(encoder)
    generator = torch.Generator().manual_seed(seed)
    for module in encoder.modules():
        if isinstance(module, GRN) and not module.gamma.any():
            nn.init.normal_(module.gamma, generator=generator)
            nn.init.normal_(module.beta, generator=generator)
        if (
            isinstance(module, Block)
            and module.gamma is not None
            and module.gamma.abs().max() <= 1e-6
        ):
            nn.init.normal_(module.gamma, generator=generator)
    return encoder


def _configured(folder: Path) -> Encoder:
    """The model that a run's config.json names."""
    try:
        model = json.loads((folder / "config.json").read_text())["model"]
        return Encoder(
            str(model["name"]),
            in_channels=int(model["in_channels"]),
            stem_stride=int(model["stem_stride"]),
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"weights {folder}: its config.json does not say which model it is "
            f"({type(error).__name__}: {error}); give its weights.safetensors instead"
        ) from error


def _recognised(path: str, state: dict[str, Tensor]) -> Encoder:
    """The model that has these shapes."""
    stem = state.get(STEM)
    if stem is None or stem.ndim != 4:
        raise ValueError(
            f"weights {path}: no {STEM} of four dimensions, so these are not the authors' names; "
            f"it has {_few(state)}"
        )
    width, in_channels, _, stem_stride = stem.shape
    blocks = {tuple(name.split(".")[1:3]) for name in state if name.startswith("stages.")}
    depths = tuple(sum(stage == str(number) for stage, *_ in blocks) for number in range(4))
    v2 = any(".grn." in name for name in state)
    for name, size in SIZES.items():
        if (size.width, size.depths, is_v2(name)) == (width, depths, v2):
            return Encoder(name, in_channels=in_channels, stem_stride=stem_stride)
    raise ValueError(
        f"weights {path}: no model {'with' if v2 else 'without'} GRN has width {width} "
        f"and depths {depths}"
    )


def _few(names: set[str] | dict[str, Tensor]) -> str:
    few = ", ".join(sorted(names)[:SHOWN]) or "nothing"
    return few if len(names) <= SHOWN else f"{few} and {len(names) - SHOWN} more"
