"""Named tensors from a file of either kind, nothing of which is run: safetensors, or PyTorch's own.

PyTorch's files are pickles, which may hold any program. They are read as data: tensors, numbers and
text, and the `argparse.Namespace` of options in the authors' files. Anything else is refused.
"""

import argparse
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fcmae.errors import unknown

PICKLED = (".pth", ".pt", ".bin")
USUAL = ("model", "module", "state_dict", "model_ema")  # where weights are, the first first


class TensorFile(NamedTuple):
    """What was read."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]  # of a safetensors file
    key: str | None  # where in a PyTorch file the tensors were
    others: tuple[str, ...]  # where else it has tensors


def read_tensors(file: Path, key: str | None = None) -> TensorFile:
    """Read a .safetensors file, or a .pth, .pt or .bin file of PyTorch.

    Args:
        file: the file.
        key: where in a PyTorch file the tensors are. None: the first of "model", "module",
            "state_dict" and "model_ema" that is there, or the file itself.

    Raises:
        ValueError: if the file is of neither kind, damaged, holds an object that is no data, has
            no tensors there, or tensors other than of floating-point numbers.
    """
    if file.suffix == ".safetensors":
        if key is not None:
            raise ValueError(f"key {key!r} chooses within a PyTorch file: leave it out here")
        read = _safetensors(file)
    elif file.suffix in PICKLED:
        read = _chosen(_unpickled(file), key)
    else:
        raise ValueError(
            f"a file named {file.name} is not read: give .safetensors, {' or '.join(PICKLED)}"
        )
    if not read.tensors:
        raise ValueError("it holds no tensors")
    for name, value in read.tensors.items():
        if not value.is_floating_point() or value.layout != torch.strided or value.is_meta:
            raise ValueError(f"its {name} ({value.dtype}) is no tensor of floating-point numbers")
    return read


def _safetensors(file: Path) -> TensorFile:
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            return TensorFile(tensors, opened.metadata() or {}, None, ())
    except (SafetensorError, OSError) as error:
        raise ValueError(f"it is not a whole safetensors file ({error})") from error


def _unpickled(file: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds of content that are refused here anyway
            return torch.load(
                file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
            )
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ValueError(
                f"it holds a pickled {found[1]}, which could run any program, and nothing of it "
                "was read: save model.state_dict() alone, best as .safetensors"
            ) from None  # PyTorch's words advise to read it nevertheless
        raise ValueError("it is not a whole PyTorch file of plain tensors") from None
    except Exception as error:  # a damaged file makes the reader raise anything
        reason = type(error).__name__  # its words may advise to read it nevertheless
        raise ValueError(f"it is not a whole PyTorch file of plain tensors ({reason})") from error


def _chosen(content: Any, key: str | None) -> TensorFile:
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not tensors with names")
    states = {name: value for name, value in content.items() if _is_state(value)}
    if key is None and _is_state(content):
        return TensorFile(_detached(content), {}, None, ())
    if key is None:
        key = next((name for name in USUAL if name in states), None)
    if key is None:
        raise ValueError(
            f"it holds no tensors under any of {', '.join(USUAL)}; "
            + (f"choose key among: {', '.join(states)}" if states else "it may be no weights")
        )
    if key not in states:
        if not states:
            raise ValueError(f"key {key!r}: it holds no tensors with names under any key")
        raise unknown("key", key, states)
    others = tuple(name for name in states if name != key)
    return TensorFile(_detached(states[key]), {}, key, others)


def _is_state(value: object) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(name, str) and isinstance(one, Tensor) for name, one in value.items())


def _detached(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in state.items()}
