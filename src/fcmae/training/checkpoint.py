"""Everything that a run needs to go on, written so that it is whole or not there at all.

A checkpoint is a folder: `model.safetensors`, `optimizer.safetensors`, `state.json`. It is written
beside its place and renamed into it; nothing in it is pickled. Masks, orders and augmentations are
functions of the seed and the step, so no generator needs to be kept.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fcmae.storage.atomic import save_tensors, sync_folder, write_text

LAST, PREVIOUS, UNFINISHED = "last", "previous", "unfinished"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was read."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]  # "step", and what else the run counts


def save(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write `folder/last`.

    Raises:
        OSError: if it cannot be written (disk full, say); the checkpoint before it is untouched.
    """
    last, previous, unfinished = folder / LAST, folder / PREVIOUS, folder / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        save_tensors(unfinished / "model.safetensors", module.state_dict())
        save_tensors(unfinished / "optimizer.safetensors", optimizer_tensors(module, optimizer))
        write_text(unfinished / "state.json", json.dumps(state))
        sync_folder(unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    # A folder cannot replace another in one step. At every moment in between, `last` or `previous`
    # is whole, and `load` takes the one that is there.
    if last.exists():
        shutil.rmtree(previous, ignore_errors=True)
        last.rename(previous)
    unfinished.rename(last)
    sync_folder(folder)
    shutil.rmtree(previous, ignore_errors=True)


def exists(folder: Path) -> bool:
    """Whether `folder` holds a checkpoint that is whole."""
    return any((folder / place / "state.json").exists() for place in (LAST, PREVIOUS))


def load(folder: Path, device: torch.device) -> Checkpoint | None:
    """Read the newest whole checkpoint in `folder`, or None if there is none yet."""
    for place in (folder / LAST, folder / PREVIOUS):
        if (place / "state.json").exists():
            return Checkpoint(
                _read(place / "model.safetensors", lambda path: load_file(path, str(device))),
                _read(place / "optimizer.safetensors", lambda path: load_file(path, str(device))),
                _read(place / "state.json", lambda path: json.loads(path.read_text())),
            )
    return None


def load_model(folder: Path) -> dict[str, Tensor] | None:
    """The model alone of the newest whole checkpoint, on the processor; None if there is none."""
    for place in (folder / LAST, folder / PREVIOUS):
        if (place / "state.json").exists():
            return _read(place / "model.safetensors", load_file)
    return None


def _read(path: Path, reader: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    try:
        return reader(path)
    except (SafetensorError, OSError, ValueError) as error:  # ValueError: not JSON, or no text
        raise ValueError(
            f"checkpoint {path} cannot be read ({error}): it was changed after it was written; "
            "restore it, or start again with --overwrite"
        ) from error


def restore(checkpoint: Checkpoint, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a checkpoint's parameters and optimiser state in place, strictly."""
    module.load_state_dict(checkpoint.model)
    names = {parameter: name for name, parameter in module.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            prefix = names[parameter] + "/"
            state = {
                key.removeprefix(prefix): value
                for key, value in checkpoint.optimizer.items()
                if key.startswith(prefix)
            }
            if checkpoint.optimizer and not state:  # it would start from zero without a word
                raise ValueError(
                    f"checkpoint: the optimiser's state of {names[parameter]} is missing: it was "
                    "changed after it was written; restore it, or start again with --overwrite"
                )
            optimizer.state[parameter] = state


def optimizer_tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state under `parameter name/what`, as flat tensors."""
    return {
        f"{name}/{what}": value
        for name, parameter in module.named_parameters()
        for what, value in optimizer.state.get(parameter, {}).items()
    }
