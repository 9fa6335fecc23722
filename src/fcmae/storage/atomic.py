"""Files that are whole or not there at all: written beside their place, then renamed into it."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(
    path: Path, tensors: "dict[str, Tensor]", description: dict[str, Any] | None = None
) -> None:
    """Write a safetensors file whole or not at all.

    A description goes under the one key "fcmae", as JSON: of several keys the library would write
    the order by chance, and the same run would not give the same bytes.
    """
    from safetensors.torch import save_file  # texts are written without torch

    temporary = path.with_name(path.name + ".unfinished")
    on_cpu = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    metadata = None if description is None else {"fcmae": json.dumps(description)}
    try:
        save_file(on_cpu, temporary, metadata=metadata)
    except SafetensorError as error:  # also what a full disk raises
        raise OSError(f"{path} cannot be written: {error}") from error
    temporary.chmod(path.parent.stat().st_mode & 0o666)  # the library makes it private
    replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in UTF-8; of odd file names what is not is escaped."""
    temporary = path.with_name(path.name + ".unfinished")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    replace(temporary, path)


def replace(temporary: Path, path: Path) -> None:
    """Rename a file into place once its bytes are on the disk."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last through a power cut, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
