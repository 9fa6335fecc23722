"""Weights from one dialect to another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fcmae.commands.command import Options, command


@dataclass(frozen=True, kw_only=True)
class Convert(Options):
    """Write weights in the names of another library; values and precision stay as they are.

    Args:
        source: a run's folder; or a .safetensors, .pth, .pt or .bin file of any dialect.
        target: a .safetensors file.
        dialect: official (the authors' names), timm or transformers.
        key: which of several states of a .pth file to take, such as model_ema.
        overwrite: replace the target where it exists.

    Raises:
        ValueError: if the file cannot be read, or is of no known model or dialect.
    """

    source: str | Path
    target: str | Path
    dialect: Literal["official", "timm", "transformers"]
    key: str | None = None
    overwrite: bool = False


convert = command(Convert, "fcmae.weights.save:run_convert", type(None))
